use std::path::PathBuf;

/// What goes wrong while a model learns.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The graph, a weight or the backend refuses.
    #[error(transparent)]
    Core(#[from] edgeformer_core::Error),
    /// A model's files are damaged or cannot be written.
    #[error(transparent)]
    Models(#[from] edgeformer_models::Error),
    /// Candle refused an operation.
    #[error("training: {0}")]
    Candle(#[from] candle_core::Error),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something else than it must.
    #[error("{}: {problem}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong, where, and what to do.
        problem: String,
    },
    /// What was asked for does not fit the data or the model.
    #[error("{0}")]
    Request(String),
    /// The loss or a gradient is no number any more.
    #[error(
        "step {step}: {what} is {value}, in the batch of examples {examples:?}; lower the learning rate or look at these examples"
    )]
    Diverged {
        /// The step, counted from 1.
        step: u64,
        /// The loss, or the norm of gradients.
        what: &'static str,
        /// What it is.
        value: f64,
        /// Which examples the batch had.
        examples: Vec<usize>,
    },
}

impl Error {
    /// An error of the operating system about a file.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// A file that holds something else than it must.
    pub fn file(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self::File { path: path.into(), problem: problem.into() }
    }
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
