use std::process::Command;

use super::Backends;
use crate::run::{EVERYTHING, Result, cargo, run, target};

/// Builds this task with every backend, and the plugin, as the tests build them; and hands it what
/// this process was asked.
pub fn run_task(task: &Backends) -> Result<()> {
    let targets = ["--bin", "xtask", "--example", "cpu_backend_plugin"];
    run(cargo().args(["build", "--quiet"]).args(EVERYTHING).args(targets))?;
    let program = target().join("debug").join(format!("xtask{}", std::env::consts::EXE_SUFFIX));
    run(Command::new(program).arg("backends").args(task.check.then_some("--check")))
}
