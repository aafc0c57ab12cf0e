//! The program of users, run by tasks.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::Value;

use crate::run::{Result, cargo, output_of, run, shared, target};

/// What a task that lets models learn works with.
#[derive(Debug, Args)]
pub struct Means {
    /// The program that learns [default: it is built, with --release --features train]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where data sets lie [default: EDGEFORMER_SHARED, else ../shared]
    #[arg(long, value_name = "FOLDER")]
    shared: Option<PathBuf>,
}

impl Means {
    /// The program, built first where none is named.
    pub fn edgeformer(&self) -> Result<Edgeformer> {
        Edgeformer::named_or_built(self.program.as_deref())
    }

    /// The folder of data sets.
    pub fn shared(&self) -> PathBuf {
        shared(self.shared.as_deref())
    }
}

/// `edgeformer`, with training.
#[derive(Debug)]
pub struct Edgeformer(PathBuf);

impl Edgeformer {
    fn named_or_built(named: Option<&Path>) -> Result<Self> {
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
        let mut command = Command::new(&self.0);
        let text = output_of(command.args(arguments).arg("--json").current_dir(folder))?;
        serde_json::from_str(&text).map_err(|error| format!("edgeformer {}: {error}", arguments[0]))
    }
}
