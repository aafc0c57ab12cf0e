use std::fs;
use std::path::{Path, PathBuf};
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

/// What knows instruction sets. Files, plain arithmetic, the engine and developer tasks do not depend
/// on them, and take minutes under emulation.
const KERNELS: [&str; 2] = ["-p", "edgeformer-backend-cpu"];

/// Tests of the built binary whose answers come from kernels. Whole models beside their references
/// are cases of the suite, which runs with the kernels already.
const OF_THE_BINARY: [&str; 4] =
    ["the_embedded_model", "the_same_seed", "plans_and_devices", "packed::"];

impl TestArm {
    pub fn run(&self) -> Result<()> {
        if !self.arguments.is_empty() {
            return run(emulated()?.args(&self.arguments));
        }
        let tests = integration_tests(&root().join("crates/edgeformer-backend-cpu/tests"))?;
        let named = tests.iter().flat_map(|test| ["--test", test]);
        run(emulated()?.args(KERNELS).arg("--lib").args(named))?;
        run(emulated()?.args(["-p", "edgeformer", "--test", "cli", "--"]).args(OF_THE_BINARY))
    }
}

/// The names of the tests in a folder.
fn integration_tests(folder: &Path) -> Result<Vec<String>> {
    let unread = |error| format!("{}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        let is_test =
            path.extension().is_some_and(|ending| ending == "rs") || path.join("main.rs").is_file();
        if let (true, Some(name)) = (is_test, path.file_stem()) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// `cargo test` for ARM, under the emulator.
fn emulated() -> Result<Command> {
    let mut test = cargo_for_arm("test")?;
    let runner = format!("timeout {TIMEOUT_SECONDS} {EMULATOR}");
    test.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", runner);
    // Every kernel table runs, those of the newest instructions too.
    test.env("QEMU_CPU", "max");
    Ok(test)
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
