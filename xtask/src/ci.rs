use std::time::Instant;

use clap::Args;

use crate::arm::TestArm;
use crate::run::{Result, cargo, root, run};
use crate::tidy;

/// Everything that continuous integration checks.
#[derive(Debug, Args)]
pub struct Ci {
    /// Leave out the tests under ARM emulation
    #[arg(long)]
    skip_arm: bool,
}

type Step = (&'static str, fn() -> Result<()>);

const STEPS: [Step; 10] = [
    ("format", || run(cargo().args(["fmt", "--all", "--check"]))),
    ("tidy", tidy::run),
    ("clippy", || {
        run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    }),
    ("features", check_features),
    ("loom", check_protocol),
    // Before the tests: those of the ONNX backend need it.
    ("ONNX Runtime", || run(cargo().args(["xtask", "setup-ort"]))),
    ("tests", || run(cargo().args(["test", "--workspace"]))),
    ("backends", check_backends),
    ("instructions", || {
        let task = ["run", "--quiet", "--release", "--package", "xtask", "--"];
        run(cargo().args(task).args(["bench", "--instructions"]))
    }),
    ("docs", || {
        run(cargo().env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]))
    }),
];

impl Ci {
    pub fn run(&self) -> Result<()> {
        let arm: Step = ("ARM tests", || TestArm::default().run());
        for (name, step) in STEPS.into_iter().chain((!self.skip_arm).then_some(arm)) {
            eprintln!("== {name}");
            let start = Instant::now();
            step()?;
            eprintln!("== {name}: passed in {:.0} s", start.elapsed().as_secs_f64());
        }
        Ok(())
    }
}

/// Features, each alone and in the end all together. Those of candle for GPUs need the vendors'
/// compilers.
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
    ALL,
];

const ALL: &str = "candle,cli,cpu,embedded-model,onnx,plugins,quantize,rocm,vision";

/// Every feature stands alone, and the library does without any.
fn check_features() -> Result<()> {
    for features in FEATURES {
        let arguments =
            ["clippy", "-p", "edgeformer", "--no-default-features", "--features", features];
        run(cargo().args(arguments).args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// The binary with every backend, and what docs/backends.md says of them.
fn check_backends() -> Result<()> {
    let all = ["--package", "edgeformer", "--features", ALL];
    let plugin = ["--example", "cpu_backend_plugin"];
    run(cargo().arg("build").args(all).args(plugin))?;
    let tests = ["candle", "plugins", "rocm"].iter().flat_map(|test| ["--test", test]);
    run(cargo().arg("test").args(all).args(tests))?;
    run(cargo().arg("test").args(all).args(["--test", "cli", "onnx::"]))?;
    run(cargo().args(["xtask", "backends", "--check"]))
}

/// The pool's protocol under every order of events (`edgeformer-backend-cpu/src/pool/loom.rs`).
fn check_protocol() -> Result<()> {
    let mut test = cargo();
    test.args(["test", "--package", "edgeformer-backend-cpu", "--lib", "pool::loom"]);
    // Other flags: sharing a folder would rebuild everything each time.
    test.arg("--target-dir").arg(root().join("target/loom"));
    run(test.env("RUSTFLAGS", "--cfg loom"))
}
