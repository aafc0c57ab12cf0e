use edgeformer_core::Error;

/// The name that `--backend` takes.
pub(crate) const NAME: &str = "candle";

/// What goes wrong while a graph is evaluated.
#[derive(Debug, thiserror::Error)]
pub enum CandleError {
    /// Candle refused an operation, or its device failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// What every backend may answer.
    #[error(transparent)]
    Core(#[from] Error),
}

/// The result of this crate's functions.
pub(crate) type Result<T, E = CandleError> = std::result::Result<T, E>;

impl From<CandleError> for Error {
    fn from(error: CandleError) -> Self {
        match error {
            CandleError::Core(error) => error,
            CandleError::Candle(error) => problem(first_line(&error)),
        }
    }
}

/// An error of this backend.
pub(crate) fn problem(problem: impl Into<String>) -> Error {
    Error::Backend { backend: NAME.into(), problem: problem.into() }
}

/// Candle's errors may carry a backtrace behind their first line.
pub(crate) fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
