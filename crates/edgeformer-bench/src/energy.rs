//! Energy, where the machine counts it: Linux's powercap interface
//! (`Documentation/power/powercap/powercap.rst`), which Intel's and AMD's RAPL counters stand behind.

use std::fs;
use std::path::{Path, PathBuf};

const FOLDER: &str = "/sys/class/powercap";

/// A counter of a package, as it stood.
#[derive(Debug)]
struct Reading {
    folder: PathBuf,
    microjoules: u64,
    /// Where the counter starts again.
    range: u64,
}

/// Counters of all packages, as they stood when measuring began.
#[derive(Debug)]
pub(crate) struct EnergyMeter(Vec<Reading>);

impl EnergyMeter {
    /// Reads the counters of this machine.
    pub fn start() -> Self {
        Self::at(Path::new(FOLDER))
    }

    fn at(folder: &Path) -> Self {
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok());
        Self(entries.filter_map(|entry| read(&entry.path())).collect())
    }

    /// Joules since then; `None` where there are no counters that may be read.
    pub fn joules(&self) -> Option<f64> {
        let used = |before: &Reading| {
            let now = read(&before.folder)?.microjoules;
            let wrapped = if now < before.microjoules { before.range } else { 0 };
            now.checked_add(wrapped)?.checked_sub(before.microjoules)
        };
        let used: Option<Vec<u64>> = self.0.iter().map(used).collect();
        let total: u64 = used.filter(|used| !used.is_empty())?.into_iter().sum();
        Some(total as f64 / 1e6)
    }
}

/// Reads a package's counter: `intel-rapl:0` is one, `intel-rapl:0:0` a part of it.
fn read(folder: &Path) -> Option<Reading> {
    let name = folder.file_name()?.to_str()?;
    if name.split(':').count() != 2 {
        return None;
    }
    let number = |file| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    Some(Reading {
        folder: folder.to_owned(),
        microjoules: number("energy_uj")?,
        range: number("max_energy_range_uj").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(folder: &Path, zone: &str, microjoules: u64) {
        let zone = folder.join(zone);
        fs::create_dir_all(&zone).unwrap();
        fs::write(zone.join("energy_uj"), format!("{microjoules}\n")).unwrap();
        fs::write(zone.join("max_energy_range_uj"), "10000000\n").unwrap();
    }

    #[test]
    fn packages_are_added_up_and_may_wrap() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        set(here, "intel-rapl:0", 1_000_000);
        set(here, "intel-rapl:1", 9_000_000);
        set(here, "intel-rapl:0:0", 5);
        let meter = EnergyMeter::at(here);
        set(here, "intel-rapl:0", 3_500_000);
        set(here, "intel-rapl:1", 1_000_000);
        set(here, "intel-rapl:0:0", 9_999_999);
        assert_eq!(meter.joules(), Some(4.5));
    }

    #[test]
    fn no_counter_is_not_zero() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(EnergyMeter::at(folder.path()).joules(), None);
        assert_eq!(EnergyMeter::at(&folder.path().join("absent")).joules(), None);
        set(folder.path(), "intel-rapl:0", 7);
        let meter = EnergyMeter::at(folder.path());
        fs::remove_dir_all(folder.path().join("intel-rapl:0")).unwrap();
        assert_eq!(meter.joules(), None);
    }
}
