//! On what was measured, in full: speeds can only be compared by who knows what differed.

mod cgroup;
mod cpu;

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use edgeformer_core::Device;

use crate::Machine;
use crate::output::bytes;

pub use cgroup::Cgroup;
pub use cpu::CpuCache;

/// A machine, the state it was in, and the programs that ran on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// What charts call it: the CPU's model name, or what `--name` says.
    pub name: String,
    /// The CPU's model name.
    pub cpu: String,
    /// The architecture that was built for: `x86_64`, `aarch64`.
    pub architecture: String,
    /// The instruction set of the kernels that ran: `avx2`, `scalar`.
    pub isa: String,
    /// What the CPU has of what kernels ask for.
    pub features: Vec<String>,
    /// Cores that this process may use.
    pub cores: usize,
    /// Caches, the fastest first.
    pub caches: Vec<CpuCache>,
    /// Bytes of main memory, where the system tells.
    pub memory_bytes: Option<u64>,
    /// The system and its kernel's release.
    pub kernel: String,
    /// When transparent huge pages are used: `always`, `madvise`, `never`; where the system tells.
    pub huge_pages: Option<String>,
    /// What the process's control group is held to.
    pub cgroup: Cgroup,
    /// Processes that were runnable before the first run, averaged over 1, 5 and 15 minutes.
    pub load_before: Option<[f64; 3]>,
    /// EdgeFormer's version.
    pub version: String,
    /// Versions of the peers, by name.
    pub peers: Vec<(String, String)>,
    /// The commit that was built, where it is known, with `-dirty` if the tree had changes.
    pub commit: Option<String>,
    /// `release` or `debug`. Speeds of a debug build mean nothing.
    pub build: String,
    /// Whether an emulator ran it: then its speeds say nothing of the device.
    pub emulated: bool,
}

impl DeviceRecord {
    /// This machine as it is now, measured on `device` by a build of `commit`.
    pub fn here(device: &Device, commit: Option<String>) -> Self {
        let machine = Machine::here(device, commit);
        let fact = |wanted: &str| {
            let found = device.facts.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone())
        };
        Self {
            name: machine.device.clone(),
            cpu: machine.device,
            architecture: std::env::consts::ARCH.into(),
            isa: fact("instruction set").unwrap_or_else(|| "unknown".into()),
            features: cpu::features(),
            cores: machine.cores,
            caches: cpu::caches(Path::new("/sys/devices/system/cpu/cpu0/cache")),
            memory_bytes: machine.memory,
            kernel: machine.system,
            huge_pages: fact("huge pages"),
            cgroup: Cgroup::here(),
            load_before: load(),
            version: env!("CARGO_PKG_VERSION").into(),
            peers: Vec::new(),
            commit: machine.commit,
            build: machine.build,
            emulated: false,
        }
    }

    /// Lines for people.
    pub fn to_text(&self) -> String {
        let known = |value: Option<String>| value.unwrap_or_else(|| "unknown".into());
        let name = if self.name == self.cpu {
            self.cpu.clone()
        } else {
            format!("{} ({})", self.name, self.cpu)
        };
        let emulated =
            if self.emulated { ", EMULATED: speeds say nothing of the device" } else { "" };
        let features = match self.features.as_slice() {
            [] => String::new(),
            features => format!(" of {}", features.join(" ")),
        };
        let caches: Vec<String> = self.caches.iter().map(ToString::to_string).collect();
        let caches = if caches.is_empty() { "unknown".into() } else { caches.join(", ") };
        let load = self.load_before.map(|load| load.map(|one| format!("{one:.2}")).join(" "));
        let peers: String =
            self.peers.iter().map(|(name, version)| format!(", {name} {version}")).collect();
        [
            format!(
                "{name}, {} cores, {} of memory{emulated}",
                self.cores,
                known(self.memory_bytes.map(bytes))
            ),
            format!("kernels {}{features} ({})", self.isa, self.architecture),
            format!("caches {caches}"),
            format!(
                "{}, huge pages {}, {}, load before {}",
                self.kernel,
                known(self.huge_pages.clone()),
                self.cgroup,
                known(load)
            ),
            format!(
                "EdgeFormer {} (commit {}, {} build){peers}",
                self.version,
                known(self.commit.clone()),
                self.build
            ),
        ]
        .join("  \n")
    }
}

fn load() -> Option<[f64; 3]> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    let mut values = text.split_whitespace().map(|word| word.parse::<f64>().ok());
    Some([values.next()??, values.next()??, values.next()??])
}

#[cfg(test)]
impl DeviceRecord {
    /// A device for tests.
    pub(crate) fn made_up() -> Self {
        let cache = |level, bytes| CpuCache { level, kind: "data".into(), bytes, cores: 1 };
        Self {
            name: "Abacus".into(),
            cpu: "Abacus".into(),
            architecture: "beads64".into(),
            isa: "beads".into(),
            features: vec!["wire".into(), "frame".into()],
            cores: 2,
            caches: vec![cache(1, 32 << 10), cache(2, 1 << 20)],
            memory_bytes: Some(3 << 30),
            kernel: "linux 1.2".into(),
            huge_pages: Some("madvise".into()),
            cgroup: Cgroup { cpus: Some(1.5), memory_bytes: None },
            load_before: Some([0.5, 0.25, 0.0]),
            version: "0.1.0".into(),
            peers: vec![("llama.cpp".into(), "1 (native)".into())],
            commit: Some("abc".into()),
            build: "release".into(),
            emulated: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_in_lines() {
        insta::assert_snapshot!(DeviceRecord::made_up().to_text());
        let emulated = DeviceRecord { emulated: true, ..DeviceRecord::made_up() };
        assert!(emulated.to_text().contains("EMULATED"));
    }

    #[test]
    fn this_machine_has_a_record_that_comes_back() {
        let device = Device {
            id: "cpu".into(),
            description: "here".into(),
            facts: [("instruction set", "scalar"), ("huge pages", "never")]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            score: 1,
        };
        let record = DeviceRecord::here(&device, None);
        assert!(record.cores > 0 && record.isa == "scalar" && record.cpu == "here");
        assert_eq!(record.huge_pages.as_deref(), Some("never"));
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<DeviceRecord>(&text).unwrap(), record);
    }
}
