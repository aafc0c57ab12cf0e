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
    /// What was asked for does not fit the data or the model.
    #[error("{0}")]
    Request(String),
    /// A model's files, its text, its template.
    #[error(transparent)]
    Models(#[from] edgeformer_models::Error),
    /// A model that judges records failed.
    #[error("{doing}: {problem}")]
    Judge {
        /// What it was asked.
        doing: &'static str,
        /// What it said.
        problem: String,
    },
    /// The work was stopped before its end.
    #[error("interrupted: nothing was written")]
    Interrupted,
}

impl Error {
    /// A file of data that cannot be read, or is not what it should be.
    pub fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), problem: problem.into() }
    }
}
