//! How a command fails: one line on stderr, exit code 1, or 2 if it was asked wrongly.

use std::io::ErrorKind;
use std::process::ExitCode;

use crate::interrupt;

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
            ExitCode::from(failure.code())
        }
    }
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Engine(edgeformer::Error::Interrupted { .. }) => interrupt::INTERRUPTED,
            failure if failure.is_usage() => 2,
            _ => 1,
        }
    }

    /// Whether the command was asked wrongly: settings that cannot be, or contradict each other.
    fn is_usage(&self) -> bool {
        let setting = |error: &edgeformer::Error| {
            matches!(error, edgeformer::Error::Core(edgeformer_core::Error::Config(_)))
        };
        match self {
            Self::Usage(_) => true,
            Self::Engine(error) => setting(error),
            Self::Io(_) | Self::Failed(_) => false,
        }
    }
}
