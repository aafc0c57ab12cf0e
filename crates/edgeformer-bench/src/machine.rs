//! On what was measured: it heads every output, for figures without a machine say nothing.

use std::fs;

use serde::{Deserialize, Serialize};

use edgeformer_core::Device;

use crate::output::bytes;

/// A machine and the program that ran on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// What a person calls the device, for example the CPU's model name.
    pub device: String,
    /// What the backend says of it: instruction set, cores, memory.
    pub facts: Vec<(String, String)>,
    /// Cores that this process may use.
    pub cores: usize,
    /// Bytes of main memory, where the system tells.
    pub memory: Option<u64>,
    /// The system and its release.
    pub system: String,
    /// The commit that was built, where it is known, with `-dirty` if the tree had changes.
    pub commit: Option<String>,
    /// `release` or `debug`. Speeds of a debug build mean nothing.
    pub build: String,
}

impl Machine {
    /// This machine, measured on `device` by a build of `commit`.
    pub fn here(device: &Device, commit: Option<String>) -> Self {
        Self {
            device: device.description.clone(),
            facts: device.facts.clone(),
            cores: edgeformer::available_cores(),
            memory: memory(),
            system: system(),
            commit,
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.into(),
        }
    }

    /// A line for people.
    pub fn to_line(&self) -> String {
        let mut parts = vec![self.device.clone(), format!("{} cores", self.cores)];
        parts.extend(self.memory.map(|memory| format!("{} of memory", bytes(memory))));
        let said = |(name, _): &&(String, String)| !["cores", "memory"].contains(&name.as_str());
        let facts = self.facts.iter().filter(said);
        parts.extend(facts.map(|(name, value)| format!("{name} {value}")));
        parts.push(self.system.clone());
        parts.push(format!("commit {}", self.commit.as_deref().unwrap_or("unknown")));
        parts.push(format!("{} build", self.build));
        parts.join(", ")
    }
}

fn memory() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let rest = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, release.trim()).trim().into()
}

#[cfg(test)]
impl Machine {
    /// A machine for tests.
    pub(crate) fn made_up() -> Self {
        let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self {
            device: "Abacus".into(),
            facts: vec![fact("instruction set", "beads"), fact("cores", "3")],
            cores: 2,
            memory: Some(3 << 30),
            system: "linux 1.2".into(),
            commit: Some("abc".into()),
            build: "release".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_everything_once() {
        assert_eq!(
            Machine::made_up().to_line(),
            "Abacus, 2 cores, 3.00 GiB of memory, instruction set beads, linux 1.2, commit abc, \
             release build"
        );
    }
}
