//! What candle and the allocator read from the environment when a process starts, set for learning.

use edgeformer_train::ENVIRONMENT;

/// Starts this program anew with what is not set. Where the system cannot, learning is slower.
#[cfg(unix)]
pub fn set() {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    let unset = || ENVIRONMENT.into_iter().filter(|(name, _)| std::env::var_os(name).is_none());
    let (Ok(program), Some(_)) = (std::env::current_exe(), unset().next()) else { return };
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // Only a failure comes back from it.
    let _ = command.args(arguments).envs(unset()).exec();
}

/// Nothing can be set for a program that runs.
#[cfg(not(unix))]
pub fn set() {
    let _ = ENVIRONMENT;
}
