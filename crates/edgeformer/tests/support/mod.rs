//! The built binary.

use std::process::Command;

/// `edgeformer`, under the emulator where the tests themselves run under one: a program that an
/// emulated one starts is not emulated by itself.
pub fn edgeformer() -> Command {
    let binary = env!("CARGO_BIN_EXE_edgeformer");
    let runner = std::env::var("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER").ok();
    let emulator = runner.as_deref().and_then(|runner| runner.split_whitespace().last());
    match emulator.filter(|_| cfg!(target_arch = "aarch64")) {
        None => Command::new(binary),
        Some(emulator) => {
            let mut command = Command::new(emulator);
            command.arg(binary);
            command
        }
    }
}
