use std::collections::BTreeSet;
use std::fs;
use std::num::NonZero;

/// Cores that this process may use, two hyperthreads counted once: a second thread on a core adds
/// nothing to kernels that keep its arithmetic units busy. CPU affinity and cgroup quotas limit it.
pub(crate) fn physical_cores() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, NonZero::get);
    distinct_cores().map_or(allowed, |cores| cores.clamp(1, allowed))
}

/// Sets of sibling threads that Linux lists; `None` elsewhere.
fn distinct_cores() -> Option<usize> {
    let cores: BTreeSet<String> = fs::read_dir("/sys/devices/system/cpu")
        .ok()?
        .filter_map(|entry| {
            fs::read_to_string(entry.ok()?.path().join("topology/thread_siblings_list")).ok()
        })
        .collect();
    (!cores.is_empty()).then_some(cores.len())
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_is_a_core_and_no_more_than_threads() {
        let threads = std::thread::available_parallelism().unwrap().get();
        assert!((1..=threads).contains(&super::physical_cores()));
    }
}
