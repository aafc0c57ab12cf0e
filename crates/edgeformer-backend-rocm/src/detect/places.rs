use std::path::PathBuf;

/// Where this crate looks for what AMD GPUs need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The kernel's view of the machine: `/sys`.
    pub sysfs: PathBuf,
    /// The driver's device file: `/dev/kfd`.
    pub kfd: PathBuf,
    /// Names of groups: `/etc/group`.
    pub groups: PathBuf,
    /// Folders that ROCm's libraries are looked for in, before the loader's own path.
    pub libraries: Vec<PathBuf>,
}

impl Default for Places {
    /// Linux's, and no folder of libraries but the loader's.
    fn default() -> Self {
        Self {
            sysfs: "/sys".into(),
            kfd: "/dev/kfd".into(),
            groups: "/etc/group".into(),
            libraries: Vec::new(),
        }
    }
}
