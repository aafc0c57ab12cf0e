use std::path::Path;
use std::process::Command;
use std::time::Instant;

use clap::Args;

use crate::arm::TestArm;
use crate::run::{EVERYTHING, Result, cargo, root, run};
use crate::tidy;

/// Everything that continuous integration checks.
#[derive(Debug, Args)]
pub struct Ci {
    /// Leave out the tests under ARM emulation
    #[arg(long)]
    skip_arm: bool,
}

/// A step's name, and what it does. It is given the path of this program, for another of its tasks:
/// what is built for one serves the other.
type Step = (&'static str, fn(&Path) -> Result<()>);

const STEPS: [Step; 10] = [
    ("format", |_| run(cargo().args(["fmt", "--all", "--check"]))),
    ("tidy", |_| tidy::run()),
    ("clippy", |_| {
        run(cargo().arg("clippy").args(EVERYTHING).args(["--all-targets", "--", "-D", "warnings"]))
    }),
    ("features", |_| check_features()),
    ("loom", |_| check_protocol()),
    // Before the tests: those of the ONNX backend need it.
    ("ONNX Runtime", |this| run(Command::new(this).arg("setup-ort"))),
    ("tests", |_| run(cargo().arg("test").args(EVERYTHING))),
    ("backends", |this| run(Command::new(this).args(["backends", "--check"]))),
    ("instructions", |_| {
        let task = ["run", "--quiet", "--release", "--package", "xtask", "--"];
        run(cargo().args(task).args(["bench", "--instructions"]))
    }),
    ("docs", |_| {
        let mut doc = cargo();
        run(doc.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--no-deps"]).args(EVERYTHING))
    }),
];

impl Ci {
    pub fn run(&self) -> Result<()> {
        // Asked before the first step: the tests link this program anew, and then it is asked in vain.
        let this = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
        let arm: Step = ("ARM tests", |_| TestArm::default().run());
        for (name, step) in STEPS.into_iter().chain((!self.skip_arm).then_some(arm)) {
            eprintln!("== {name}");
            let start = Instant::now();
            step(&this)?;
            eprintln!("== {name}: passed in {:.0} s", start.elapsed().as_secs_f64());
        }
        Ok(())
    }
}

/// Features, each alone. All together are what everything else is checked with; those of candle for
/// GPUs need the vendors' compilers.
const FEATURES: [&str; 13] = [
    "",
    "cpu",
    "cpu,embedded-model",
    "cpu,vision",
    "cpu,quantize",
    "cpu,cli",
    "plugins",
    "candle",
    "onnx",
    "rocm",
    "cli,onnx",
    "cli,plugins",
    "cli,train",
];

/// Every feature stands alone, and the library does without any.
fn check_features() -> Result<()> {
    for features in FEATURES {
        let arguments =
            ["clippy", "-p", "edgeformer", "--no-default-features", "--features", features];
        run(cargo().args(arguments).args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// The pool's protocol under every order of events (`edgeformer-backend-cpu/src/pool/loom.rs`).
fn check_protocol() -> Result<()> {
    let mut test = cargo();
    test.args(["test", "--package", "edgeformer-backend-cpu", "--lib", "pool::loom"]);
    // Other flags: sharing a folder would rebuild everything each time.
    test.arg("--target-dir").arg(root().join("target/loom"));
    run(test.env("RUSTFLAGS", "--cfg loom"))
}
