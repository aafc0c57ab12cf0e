use std::path::{Path, PathBuf};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why nothing can be learned, or chosen, from something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of data that cannot be read, or is not what it should be.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and the remedy.
        problem: String,
    },
    /// A line of a file of records that is no record.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it, and the remedy.
        problem: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What was asked for does not fit the data or the model.
    #[error("{0}")]
    Request(String),
    /// A model's files, its text, its template.
    #[error(transparent)]
    Models(#[from] edgeformer_models::Error),
    /// The graph, a weight or the backend refuses.
    #[error(transparent)]
    Core(#[from] edgeformer_core::Error),
    /// Candle refused an operation, or its device failed.
    #[error("training: {0}")]
    Candle(#[from] candle_core::Error),
    /// A model that judges records failed.
    #[error("{doing}: {problem}")]
    Judge {
        /// What it was asked.
        doing: &'static str,
        /// What it said.
        problem: String,
    },
    /// The loss or a gradient is no number any more.
    #[error(
        "step {step}: {what} is {value}, in the batch of examples {examples:?}; lower the learning rate or look at these examples"
    )]
    Diverged {
        /// The step, from 1.
        step: u64,
        /// The loss, or the norm of gradients.
        what: &'static str,
        /// What it is.
        value: f64,
        /// Which examples the batch had, from 0.
        examples: Vec<usize>,
    },
    /// The work was stopped before its end.
    #[error("interrupted: nothing was written")]
    Interrupted,
}

impl Error {
    /// A file of data that cannot be read, or is not what it should be.
    pub fn file(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::File { path: path.as_ref().to_owned(), problem: problem.into() }
    }

    /// What the system said about a file.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), source }
    }
}
