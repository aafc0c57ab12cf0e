use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::Worker;
use crate::{Error, Result};

/// The function that is counted, [`super::Rig::step`], as Callgrind's patterns see it.
const COUNTED: &str = "*instructions*rig*Rig*step*";

/// Counts the instructions of cases under Valgrind.
#[derive(Debug, Clone)]
pub struct Callgrind {
    valgrind: PathBuf,
    worker: Worker,
}

impl Callgrind {
    /// Valgrind of that name, and how a process is started that runs the one case whose
    /// instruction set and name are added to its arguments.
    ///
    /// # Errors
    /// If Valgrind is not there.
    pub fn new(valgrind: &Path, worker: Worker) -> Result<Self> {
        let missing = |problem: String| {
            Error::Request(format!(
                "{}: {problem}: install Valgrind (Debian: apt-get install valgrind)",
                valgrind.display()
            ))
        };
        let mut version = Command::new(valgrind);
        let output =
            version.arg("--version").output().map_err(|error| missing(error.to_string()))?;
        match output.status.success() {
            true => Ok(Self { valgrind: valgrind.into(), worker }),
            false => Err(missing(format!("ended with {}", output.status))),
        }
    }

    /// Instructions of a case on an instruction set.
    ///
    /// # Errors
    /// If the case fails, or its process ends without a count.
    pub fn count(&self, isa: &str, case: &str) -> Result<u64> {
        let folder =
            tempfile::tempdir().map_err(|error| Error::file(&std::env::temp_dir(), error))?;
        let counts = folder.path().join("counts");
        let output = self
            .command(&counts, isa, case)
            .output()
            .map_err(|error| Error::Process(format!("{case}: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            // Valgrind's own lines begin with the process number between equals signs.
            let said: Vec<&str> = said.lines().filter(|line| !line.starts_with("==")).collect();
            return Err(Error::Process(format!("{case}: {}: {}", output.status, said.join("; "))));
        }
        let text = fs::read_to_string(&counts).map_err(|error| Error::file(&counts, error))?;
        match total(&text) {
            Some(count) if count > 0 => Ok(count),
            _ => Err(Error::Process(format!(
                "{case}: nothing was counted: does the program have its symbols?"
            ))),
        }
    }

    /// The process that is counted. Its environment is empty but for what Valgrind needs itself.
    fn command(&self, counts: &Path, isa: &str, case: &str) -> Command {
        let mut command = Command::new(&self.valgrind);
        let kept = ["PATH", "HOME", "LD_LIBRARY_PATH", "VALGRIND_LIB"];
        let kept = kept.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let kept: Vec<_> = kept.collect();
        command
            .env_clear()
            .envs(kept)
            .args(["--tool=callgrind", "--compress-strings=no", "--dump-line=no"])
            .arg(format!("--callgrind-out-file={}", counts.display()))
            .arg(format!("--toggle-collect={COUNTED}"))
            .arg(&self.worker.program)
            .args(&self.worker.arguments)
            .args([isa, case])
            .stdin(Stdio::null());
        command
    }
}

/// The sum over all functions in a file of Callgrind's.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("totals:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read() {
        assert_eq!(total("events: Ir\nsummary: 9\n\nfn=step\n1 7\n\ntotals: 7\n"), Some(7));
        assert_eq!(total("events: Ir Dr\ntotals: 12 3\n"), Some(12));
        assert_eq!(total("events: Ir\n"), None);
        assert_eq!(total("totals: none\n"), None);
    }

    #[test]
    fn a_missing_valgrind_is_told_with_what_brings_it() {
        let worker = Worker { program: "true".into(), arguments: Vec::new() };
        let error = Callgrind::new(Path::new("/nowhere/valgrind"), worker).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("/nowhere/valgrind") && error.contains("apt-get"), "{error}");
    }
}
