use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZero;
use std::path::Path;

/// A core is big if it has at least this share of the biggest one's capacity. The middle cores of
/// phones (some 80 %) are, the little ones (25 to 55 %) are not.
const BIG: f64 = 2.0 / 3.0;

/// Cores worth a thread each: those that this process may use, two hyperthreads counted once (a
/// second thread on a core adds nothing to kernels that keep its arithmetic units busy), and only
/// the big ones where the system says that some are small (ARM big.LITTLE, Intel hybrids): work is
/// shared by whoever is free, but the last item of every op would be a small core's. CPU affinity
/// and cgroup quotas limit it.
pub(crate) fn physical_cores() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, NonZero::get);
    let cpus = allowed_cpus();
    let found = big_cores(Path::new("/sys/devices"), cpus.as_ref());
    found.map_or(allowed, |cores| cores.clamp(1, allowed))
}

/// The CPUs that this process may run on, as Linux tells it.
fn allowed_cpus() -> Option<BTreeSet<usize>> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    parse_list(list)
}

/// How many of the `allowed` cores below `devices` (`/sys/devices`) are big; `None` if nothing is
/// known of any.
fn big_cores(devices: &Path, allowed: Option<&BTreeSet<usize>>) -> Option<usize> {
    let atoms = read_list(&devices.join("cpu_atom/cpus")).unwrap_or_default();
    // Sets of sibling threads, with the capacity of a core.
    let mut cores: BTreeMap<String, f64> = BTreeMap::new();
    for entry in fs::read_dir(devices.join("system/cpu")).ok()? {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("cpu")?.parse().ok());
        let Some(cpu) = number else { continue };
        if allowed.is_some_and(|allowed| !allowed.contains(&cpu)) {
            continue;
        }
        let path = entry.path();
        if let Ok(siblings) = fs::read_to_string(path.join("topology/thread_siblings_list")) {
            let capacity = fs::read_to_string(path.join("cpu_capacity")).ok();
            let listed = capacity.and_then(|capacity| capacity.trim().parse().ok());
            // Efficient cores of Intel hybrids do about half of what the others do.
            let capacity = listed.unwrap_or(if atoms.contains(&cpu) { 0.5 } else { 1.0 });
            cores.insert(siblings, capacity);
        }
    }
    let most = cores.values().copied().fold(0.0, f64::max);
    let big = cores.values().filter(|&&capacity| capacity >= BIG * most).count();
    (big > 0).then_some(big)
}

fn read_list(path: &Path) -> Option<BTreeSet<usize>> {
    parse_list(&fs::read_to_string(path).ok()?)
}

/// The numbers of a list such as `0-3,8`.
fn parse_list(list: &str) -> Option<BTreeSet<usize>> {
    let mut numbers = BTreeSet::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        numbers.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `/sys/devices` with CPUs of these siblings and capacities, and these efficient ones.
    fn devices(cpus: &[(&str, Option<u32>)], atoms: Option<&str>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (number, (siblings, capacity)) in cpus.iter().enumerate() {
            let cpu = folder.path().join(format!("system/cpu/cpu{number}"));
            fs::create_dir_all(cpu.join("topology")).unwrap();
            fs::write(cpu.join("topology/thread_siblings_list"), format!("{siblings}\n")).unwrap();
            if let Some(capacity) = capacity {
                fs::write(cpu.join("cpu_capacity"), format!("{capacity}\n")).unwrap();
            }
        }
        // Folders of other names lie there too.
        fs::create_dir_all(folder.path().join("system/cpu/cpufreq")).unwrap();
        if let Some(atoms) = atoms {
            fs::create_dir(folder.path().join("cpu_atom")).unwrap();
            fs::write(folder.path().join("cpu_atom/cpus"), atoms).unwrap();
        }
        folder
    }

    #[test]
    fn there_is_a_core_and_no_more_than_threads() {
        let threads = std::thread::available_parallelism().unwrap().get();
        assert!((1..=threads).contains(&physical_cores()));
    }

    #[test]
    fn hyperthreads_count_once() {
        let machine = devices(&[("0,2", None), ("1,3", None), ("0,2", None), ("1,3", None)], None);
        assert_eq!(big_cores(machine.path(), None), Some(2));
        assert_eq!(big_cores(machine.path(), Some(&BTreeSet::from([0, 2]))), Some(1));
    }

    #[test]
    fn little_cores_do_not_count() {
        let little_and_big =
            [("0", Some(530)), ("1", Some(530)), ("2", Some(1024)), ("3", Some(900))];
        let machine = devices(&little_and_big, None);
        assert_eq!(big_cores(machine.path(), None), Some(2));
        // Where only little ones are allowed, they are the big ones.
        assert_eq!(big_cores(machine.path(), Some(&BTreeSet::from([0, 1]))), Some(2));
    }

    #[test]
    fn efficient_cores_of_hybrids_do_not_count() {
        let hybrid = [("0-1", None), ("0-1", None), ("2", None), ("3", None), ("4", None)];
        let machine = devices(&hybrid, Some("2-4\n"));
        assert_eq!(big_cores(machine.path(), None), Some(1));
    }

    #[test]
    fn a_system_that_says_nothing_is_not_guessed_at() {
        let machine = tempfile::tempdir().unwrap();
        assert_eq!(big_cores(machine.path(), None), None);
    }

    #[test]
    fn lists_are_ranges_and_numbers() {
        assert_eq!(parse_list("\t0-2,5\n"), Some(BTreeSet::from([0, 1, 2, 5])));
        assert_eq!(parse_list(""), Some(BTreeSet::new()));
        assert_eq!(parse_list("0-x"), None);
    }
}
