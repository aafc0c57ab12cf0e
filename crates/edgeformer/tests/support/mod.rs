//! The built binary.

use std::process::Command;

/// The emulator that the tests run under, if they do.
fn emulator() -> Option<String> {
    let runner = std::env::var("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER").ok();
    let emulator = runner.as_deref().and_then(|runner| runner.split_whitespace().last());
    emulator.filter(|_| cfg!(target_arch = "aarch64")).map(str::to_owned)
}

/// Whether the tests run under an emulator: then long ones look at less.
#[allow(dead_code, reason = "not every file of tests has long ones")]
pub fn is_emulated() -> bool {
    emulator().is_some()
}

/// `edgeformer`, under the emulator where the tests themselves run under one: a program that an
/// emulated one starts is not emulated by itself.
pub fn edgeformer() -> Command {
    let binary = env!("CARGO_BIN_EXE_edgeformer");
    let Some(emulator) = emulator() else { return Command::new(binary) };
    let mut command = Command::new(emulator);
    command.arg(binary);
    command
}
