use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::Value;

use crate::run::{Result, cargo, output_of, read, root, run};

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
const KERNELS: &str = "edgeformer-backend-cpu";

/// Whose program is tested whole: where answers come from kernels. Whole models beside their
/// references are cases of the suite, which runs with the kernels already.
const BINARY: &str = "edgeformer";
const OF_THE_BINARY: [&str; 4] =
    ["the_embedded_model", "the_same_seed", "plans_and_devices", "packed::"];

/// The test that takes longest, and on one processor: it runs beside the others.
const LONGEST: &str = "conformance";

impl TestArm {
    pub fn run(&self) -> Result<()> {
        if !self.arguments.is_empty() {
            let mut test = cargo_for_arm("test")?;
            return run(emulated(&mut test).args(&self.arguments));
        }
        let tests = integration_tests(&folder_of(KERNELS).join("tests"))?;
        let programs = build(&tests)?;
        let of_kernels = |name: &str| programs.command(KERNELS, name);
        let mut longest = of_kernels(LONGEST)?;
        std::thread::scope(|scope| {
            let longest = scope.spawn(move || run(&mut longest));
            run(&mut of_kernels(&KERNELS.replace('-', "_"))?)?;
            for name in tests.iter().filter(|name| *name != LONGEST) {
                run(&mut of_kernels(name)?)?;
            }
            run(programs.command(BINARY, "cli")?.args(OF_THE_BINARY))?;
            longest.join().map_err(|_| format!("{LONGEST} panicked"))?
        })
    }
}

/// Programs that were built to be run under the emulator.
struct Programs(Vec<Program>);

/// One of them: a target of a package.
struct Program {
    manifest: PathBuf,
    target: String,
    path: PathBuf,
}

impl Programs {
    /// How a program is run, as cargo would run it.
    fn command(&self, package: &str, target: &str) -> Result<Command> {
        let folder = folder_of(package);
        let is_it = |program: &&Program| {
            program.target == target && program.manifest == folder.join("Cargo.toml")
        };
        let program = self.0.iter().find(is_it);
        let program = program.ok_or_else(|| format!("no test {target} of {package} was built"))?;
        let mut command = Command::new("timeout");
        command.arg(TIMEOUT_SECONDS.to_string()).arg(EMULATOR).arg(&program.path);
        command.env("CARGO_MANIFEST_DIR", &folder).current_dir(&folder);
        emulated(&mut command);
        Ok(command)
    }
}

/// Builds everything at once: packages that are built alone have other features, and what they share
/// would be built twice.
fn build(tests: &[String]) -> Result<Programs> {
    let mut build = cargo_for_arm("test")?;
    build.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    build.args(["-p", KERNELS, "-p", BINARY, "--lib", "--test", "cli"]);
    build.args(tests.iter().flat_map(|test| ["--test", test]));
    let told = output_of(&mut build)?;
    let program = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Program {
            manifest: text(&message["manifest_path"])?.into(),
            target: text(&message["target"]["name"])?,
            path: text(&message["executable"])?.into(),
        })
        .filter(|_| message["profile"]["test"] == true)
    };
    Ok(Programs(told.lines().filter_map(program).collect()))
}

fn folder_of(package: &str) -> PathBuf {
    root().join("crates").join(package)
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

/// Tests know by the runner that they are emulated. Every kernel table runs, those of the newest
/// instructions too.
fn emulated(command: &mut Command) -> &mut Command {
    let runner = format!("timeout {TIMEOUT_SECONDS} {EMULATOR}");
    command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", runner).env("QEMU_CPU", "max")
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
