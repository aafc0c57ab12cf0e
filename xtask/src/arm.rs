use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::run::{Result, cargo, read, root, run};

/// What is built for.
pub const TARGET: &str = "aarch64-unknown-linux-gnu";

/// Debian's compiler: the one with a standard library for ARM in a package.
const RUSTC: &str = "/usr/bin/rustc";

/// What brings it on Debian 12.
const INSTALL: &str = "dpkg --add-architecture arm64 && apt-get update && apt-get install -y --no-install-recommends \
    rustc-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static";

/// A test that hangs under emulation must not hang the run.
const TIMEOUT_SECONDS: u32 = 1800;

/// Tests under ARM emulation.
#[derive(Debug, Default, Args)]
pub struct TestArm {
    /// Passed on to `cargo test`: packages, filters
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// What runs programs for ARM.
pub const EMULATOR: &str = "qemu-aarch64-static";

impl TestArm {
    pub fn run(&self) -> Result<()> {
        let mut test = cargo_for_arm("test")?;
        let runner = format!("timeout {TIMEOUT_SECONDS} {EMULATOR}");
        test.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", runner);
        // Every kernel table runs, those of the newest instructions too.
        test.env("QEMU_CPU", "max");
        match self.arguments.as_slice() {
            // Developer tasks, measurements and the suite's own evaluator of graphs (minutes under
            // emulation) do not depend on the instruction set, nor does plain arithmetic on
            // weights; the suite itself runs as a test of the CPU backend.
            [] => test
                .args(["--workspace", "--exclude", "xtask", "--exclude", "edgeformer-bench"])
                .args(["--exclude", "edgeformer-conformance", "--exclude", "edgeformer-quantize"])
                // Its libraries are examples of cargo, which are not among these.
                .args(["--exclude", "edgeformer-plugin"])
                .args(["--lib", "--bins", "--tests"]),
            arguments => test.args(arguments),
        };
        run(&mut test)
    }
}

/// Where programs for ARM are built: the compiler differs from the host's, sharing a folder would
/// rebuild both each time.
pub fn target_folder() -> PathBuf {
    root().join("target/arm")
}

/// `cargo COMMAND` for ARM.
///
/// # Errors
/// If the compiler, the linker or the emulator is missing, with what brings them.
pub fn cargo_for_arm(command: &str) -> Result<Command> {
    require(Command::new(RUSTC).args(["--print", "target-libdir", "--target", TARGET]))?;
    require(Command::new("aarch64-linux-gnu-gcc").arg("--version"))?;
    require(Command::new(EMULATOR).arg("--version"))?;
    let mut cargo = cargo();
    cargo.args([command, "--target", TARGET]).arg("--target-dir").arg(target_folder());
    cargo.env("RUSTC", RUSTC).env("RUSTDOC", "/usr/bin/rustdoc");
    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
    // A dynamic binary hangs in `pthread_create` under this emulator.
    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static");
    Ok(cargo)
}

fn require(command: &mut Command) -> Result<()> {
    read(command)
        .map(|_| ())
        .map_err(|error| format!("{error}\nwhat is missing comes with: {INSTALL}"))
}
