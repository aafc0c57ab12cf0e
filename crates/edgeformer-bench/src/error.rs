use std::path::{Path, PathBuf};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong while measuring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model cannot be opened, or nothing runs it.
    #[error(transparent)]
    Engine(#[from] edgeformer::Error),
    /// A session refuses.
    #[error(transparent)]
    Core(#[from] edgeformer_core::Error),
    /// A tokenizer refuses.
    #[error(transparent)]
    Model(#[from] edgeformer_models::Error),
    /// Something was asked for that cannot be measured.
    #[error("{0}")]
    Request(String),
    /// A file could not be read or written.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A case's own process failed, or what it said cannot be understood.
    #[error("{0}")]
    Process(String),
    /// A chart could not be drawn.
    #[error("chart: {0}")]
    Chart(String),
}

impl Error {
    /// What is wrong with a file.
    pub(crate) fn file(path: &Path, problem: impl ToString) -> Self {
        Self::File { path: path.into(), problem: problem.to_string() }
    }
}
