use std::path::PathBuf;
use std::process::Command;

use super::Remote;
use super::build::Architecture;
use crate::arm::EMULATOR;
use crate::run::{Result, output_of};

/// This program for another architecture, under an emulator on this machine.
#[derive(Debug)]
pub struct Emulator {
    program: PathBuf,
}

impl Emulator {
    /// Builds the program.
    ///
    /// # Errors
    /// If it cannot be built, or the emulator is not there: what brings both is said.
    pub fn new(architecture: Architecture) -> Result<Self> {
        Ok(Self { program: architecture.program()? })
    }

    /// Runs it. Its own cases are processes too, and have to be started under the emulator again.
    ///
    /// # Errors
    /// If it fails.
    pub fn run(&self, remote: &Remote<'_>) -> Result<String> {
        let shown = |path: &PathBuf| {
            let absolute = std::path::absolute(path);
            absolute.unwrap_or_else(|_| path.clone()).to_string_lossy().into_owned()
        };
        let files: Vec<String> = remote.files.iter().map(shown).collect();
        let mut command = Command::new(EMULATOR);
        command.arg(&self.program).args((remote.arguments)(&files)).args(["--emulator", EMULATOR]);
        output_of(&mut command)
    }
}
