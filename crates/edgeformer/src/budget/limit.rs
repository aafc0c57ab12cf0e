//! What the operating system leaves a process: Linux tells in files.

use std::path::{Path, PathBuf};

/// The pseudo-file systems of an operating system.
#[derive(Debug, Clone)]
pub(crate) struct System {
    /// The folder that `proc` and `sys` are in: `/`, but for tests.
    root: PathBuf,
}

impl Default for System {
    fn default() -> Self {
        Self { root: "/".into() }
    }
}

/// The names that one version of control groups has for the same things.
struct Names {
    mount: &'static str,
    limit: &'static str,
    usage: &'static str,
    /// The line of `memory.stat` that counts pages of files which nobody used lately.
    reclaimable: &'static str,
}

/// Documentation/admin-guide/cgroup-v2.rst of Linux.
const V2: Names = Names {
    mount: "sys/fs/cgroup",
    limit: "memory.max",
    usage: "memory.current",
    reclaimable: "inactive_file",
};

/// Documentation/admin-guide/cgroup-v1/memory.rst of Linux.
const V1: Names = Names {
    mount: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file",
};

/// A number of a control group.
type OfGroup = fn(&System, &Path, &Names) -> Option<u64>;

impl System {
    #[cfg(test)]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Memory that a program could take now without swapping.
    pub fn available(&self) -> Option<u64> {
        let text = self.read("proc/meminfo")?;
        let rest = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    }

    /// The least that any control group above the process leaves, `None` without a limit.
    pub fn left_in_group(&self) -> Option<u64> {
        self.least_of_groups(Self::left_in)
    }

    /// The least that any control group above the process allows, `None` without a limit.
    pub fn limit_of_group(&self) -> Option<u64> {
        self.least_of_groups(|system, group, names| {
            system.read(Path::new(names.mount).join(group).join(names.limit))?.trim().parse().ok()
        })
    }

    fn least_of_groups(&self, of: OfGroup) -> Option<u64> {
        let groups = self.read("proc/self/cgroup")?;
        // `HIERARCHY:CONTROLLERS:PATH`; version 2 has hierarchy 0 and names no controllers.
        groups
            .lines()
            .filter_map(|line| {
                let mut parts = line.splitn(3, ':');
                let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
                match controllers {
                    "" => self.least_along(path, &V2, of),
                    names if names.split(',').any(|name| name == "memory") => {
                        self.least_along(path, &V1, of)
                    }
                    _ => None,
                }
            })
            .min()
    }

    /// A limit binds everything below it. In a container the upper folders may be missing.
    fn least_along(&self, path: &str, names: &Names, of: OfGroup) -> Option<u64> {
        let path = path.trim_start_matches('/');
        let inside = !path.split('/').any(|part| part == "..");
        let path = Path::new(if inside { path } else { "" });
        path.ancestors().filter_map(|group| of(self, group, names)).min()
    }

    fn left_in(&self, group: &Path, names: &Names) -> Option<u64> {
        let folder = Path::new(names.mount).join(group);
        let number = |name: &str| self.read(folder.join(name))?.trim().parse::<u64>().ok();
        // `max` is no number: no limit.
        let limit = number(names.limit)?;
        let usage = number(names.usage)?;
        // Usage counts pages of files that go as soon as somebody needs the room.
        let stat = self.read(folder.join("memory.stat")).unwrap_or_default();
        let field = |line: &str| line.strip_prefix(names.reclaimable)?.trim().parse::<u64>().ok();
        let reclaimable = stat.lines().find_map(field).unwrap_or(0);
        Some(limit.saturating_sub(usage.saturating_sub(reclaimable)))
    }

    fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        std::fs::read_to_string(self.root.join(path)).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{Budget, BudgetSource};
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Files under a folder that plays the root.
    fn system(files: &[(&str, &str)]) -> (tempfile::TempDir, System) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let system = System::at(root.path());
        (root, system)
    }

    const MEMINFO: (&str, &str) =
        ("proc/meminfo", "MemTotal:  2048000 kB\nMemAvailable:   1024000 kB\n");

    #[test]
    fn without_limits_four_fifths_of_available_memory_are_the_budget() {
        let (_root, system) = system(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/user\n"),
            ("sys/fs/cgroup/user/memory.max", "max\n"),
            ("sys/fs/cgroup/user/memory.current", "1000\n"),
        ]);
        let budget = Budget::new(None, &system);
        assert_eq!(budget.bytes, Some(800 * MIB));
        assert_eq!(budget.source, BudgetSource::Available);
        assert!(!budget.counts_weights());
        let named = Budget::new(Some(5), &system);
        assert_eq!((named.bytes, named.counts_weights()), (Some(5), true));
    }

    #[test]
    fn the_tightest_group_above_the_process_decides() {
        let (_root, system) = system(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/shop/till\n"),
            ("sys/fs/cgroup/shop/till/memory.max", "max\n"),
            ("sys/fs/cgroup/shop/till/memory.current", "10\n"),
            ("sys/fs/cgroup/shop/memory.max", "104857600\n"),
            ("sys/fs/cgroup/shop/memory.current", "62914560\n"),
            ("sys/fs/cgroup/shop/memory.stat", "anon 1\ninactive_file 10485760\nactive_file 5\n"),
        ]);
        let budget = Budget::new(None, &system);
        assert_eq!((budget.bytes, budget.source), (Some(50 * MIB), BudgetSource::ControlGroup));
    }

    #[test]
    fn the_first_version_of_groups_is_read_too() {
        let (_root, system) = system(&[
            MEMINFO,
            ("proc/self/cgroup", "5:cpu,memory:/docker/abc\n2:cpuset:/\n0::/\n"),
            // As in a container: the path is the host's, the mount is its own.
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "52428800\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "10485760\n"),
        ]);
        assert_eq!(system.left_in_group(), Some(40 * MIB));
    }

    #[test]
    fn a_group_that_is_over_its_limit_leaves_nothing() {
        let (_root, system) = system(&[
            ("proc/self/cgroup", "0::/../outside\n"),
            ("sys/fs/cgroup/memory.max", "100\n"),
            ("sys/fs/cgroup/memory.current", "200\n"),
        ]);
        assert_eq!(system.left_in_group(), Some(0));
    }

    #[test]
    fn a_system_that_tells_nothing_sets_no_bound() {
        let (_root, system) = system(&[("proc/self/cgroup", "nonsense\n"), ("proc/meminfo", "")]);
        let budget = Budget::new(None, &system);
        assert_eq!((budget.bytes, budget.source), (None, BudgetSource::Unknown));
    }
}
