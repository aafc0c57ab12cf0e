//! Commands that tasks run, and where.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The result of a task: an error is a line for people.
pub type Result<T> = std::result::Result<T, String>;

/// What cargo is told where every member and every feature is wanted: whatever is built so shares
/// its dependencies.
pub const EVERYTHING: [&str; 3] = ["--workspace", "--features", "xtask/everything"];

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root").to_owned()
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    target.map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where data sets and models of others lie: the folder that is named, EDGEFORMER_SHARED, or `shared`
/// beside the repository.
pub fn shared(named: Option<&Path>) -> PathBuf {
    let variable = std::env::var_os("EDGEFORMER_SHARED").map(PathBuf::from);
    root().join(named.map(Path::to_owned).or(variable).unwrap_or_else(|| "../shared".into()))
}

/// The cargo that runs this task.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command, its output visible.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = describe(command);
    let status = command.status().map_err(|error| format!("{shown}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

/// Runs a command and returns what it prints.
pub fn read(command: &mut Command) -> Result<String> {
    let shown = describe(command);
    let output = command.output().map_err(|error| format!("{shown}: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{shown}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{shown}: {error}"))
}

/// Runs a command and returns what it prints; what it writes to standard error is seen as it comes.
pub fn output_of(command: &mut Command) -> Result<String> {
    let shown = describe(command);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{shown}: {error}"))?;
    match output.status.success() {
        true => String::from_utf8(output.stdout).map_err(|error| format!("{shown}: {error}")),
        false => Err(format!("{shown}: {}", output.status)),
    }
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
