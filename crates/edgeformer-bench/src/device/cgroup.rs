use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::output::bytes;

/// What a control group is held to; `None` is no limit, or a system that does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Cgroup {
    /// Seconds of CPU time a second.
    pub cpus: Option<f64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
}

impl Cgroup {
    /// The tightest limits of this process's group and of those it lies in (version 2 of the
    /// kernel's interface, `Documentation/admin-guide/cgroup-v2.rst`).
    pub fn here() -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let path = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        Self::of(root, &root.join(path))
    }

    fn of(root: &Path, group: &Path) -> Self {
        let groups: Vec<PathBuf> = group
            .ancestors()
            .take_while(|folder| folder.starts_with(root))
            .map(Path::to_owned)
            .collect();
        let read = |file: &'static str| {
            groups.iter().filter_map(move |folder| fs::read_to_string(folder.join(file)).ok())
        };
        Self {
            cpus: read("cpu.max").filter_map(|text| share(&text)).min_by(f64::total_cmp),
            memory_bytes: read("memory.max").filter_map(|text| text.trim().parse().ok()).min(),
        }
    }
}

/// `QUOTA PERIOD` in microseconds, or `max PERIOD`.
fn share(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period) = (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?);
    (period > 0.0).then_some(quota / period)
}

impl fmt::Display for Cgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.cpus, self.memory_bytes) {
            (None, None) => f.write_str("no cgroup limit"),
            (Some(cpus), None) => write!(f, "cgroup limit {cpus:.2} CPUs"),
            (None, Some(memory)) => write!(f, "cgroup limit {}", bytes(memory)),
            (Some(cpus), Some(memory)) => {
                write!(f, "cgroup limits {cpus:.2} CPUs and {}", bytes(memory))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_holds() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(root.path().join("a/cpu.max"), "150000 100000\n").unwrap();
        fs::write(inner.join("cpu.max"), "max 100000\n").unwrap();
        fs::write(root.path().join("a/memory.max"), "1048576\n").unwrap();
        fs::write(inner.join("memory.max"), "2097152\n").unwrap();
        let limits = Cgroup::of(root.path(), &inner);
        assert_eq!(limits, Cgroup { cpus: Some(1.5), memory_bytes: Some(1 << 20) });
        assert_eq!(limits.to_string(), "cgroup limits 1.50 CPUs and 1.0 MiB");
        assert_eq!(Cgroup::of(root.path(), root.path()), Cgroup::default());
    }
}
