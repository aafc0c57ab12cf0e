use super::Backends;
use crate::run::{self, Result, cargo};

/// Builds this task with every backend, and hands it what this process was asked.
pub fn run(task: &Backends) -> Result<()> {
    let mut again = cargo();
    again.args([
        "run",
        "--quiet",
        "--package",
        "xtask",
        "--features",
        "backends",
        "--",
        "backends",
    ]);
    run::run(again.args(task.check.then_some("--check")))
}
