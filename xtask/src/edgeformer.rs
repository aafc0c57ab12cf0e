//! The program of users, run by tasks.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::run::{Result, cargo, output_of, run, target};

/// `edgeformer`, with training.
#[derive(Debug)]
pub struct Edgeformer(PathBuf);

impl Edgeformer {
    /// The program that is named, or one that is built first.
    pub fn named_or_built(named: Option<&Path>) -> Result<Self> {
        if let Some(named) = named {
            let found = std::fs::canonicalize(named);
            return found.map(Self).map_err(|error| format!("{}: {error}", named.display()));
        }
        let build = ["build", "--release", "--package", "edgeformer", "--features", "train"];
        run(cargo().args(build))?;
        Ok(Self(target().join("release/edgeformer")))
    }

    /// What it prints as JSON, run in a folder.
    pub fn json(&self, folder: &Path, arguments: &[&str]) -> Result<Value> {
        let text = output_of(self.command(folder, arguments).arg("--json"))?;
        serde_json::from_str(&text).map_err(|error| format!("edgeformer {}: {error}", arguments[0]))
    }

    fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.args(arguments).current_dir(folder);
        command
    }
}
