//! How a command fails: one line on stderr, exit code 1, or 2 if it was asked wrongly.

use std::io::ErrorKind;
use std::process::ExitCode;

/// Why a command stops.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The library says so.
    #[error(transparent)]
    Engine(#[from] edgeformer::Error),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file of the user's.
    #[error("{0}")]
    Failed(String),
    /// The arguments contradict each other or lack something.
    #[error("{0}")]
    Usage(String),
}

impl From<edgeformer_models::Error> for Failure {
    fn from(error: edgeformer_models::Error) -> Self {
        Self::Engine(error.into())
    }
}

/// What a command returns.
pub type Outcome = Result<(), Failure>;

/// Says why and gives the exit code.
pub fn exit_code(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // `edgeformer generate | head -1`: the reader has what it wanted.
        Err(Failure::Io(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(if matches!(failure, Failure::Usage(_)) { 2 } else { 1 })
        }
    }
}
