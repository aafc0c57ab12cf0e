use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can be wrong with a model's files. Every message names the file, the place in it, and
/// what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is damaged or not what its format allows.
    #[error("{}: {place}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Where in it: an offset, a key, a tensor, a field.
        place: String,
        /// What is wrong there, and the remedy.
        problem: String,
    },
    /// A graph or weight that does not fit.
    #[error("{}: {source}", path.display())]
    Core {
        /// The file or folder.
        path: PathBuf,
        /// What does not fit.
        source: edgeformer_core::Error,
    },
    /// Text that cannot be encoded, decoded or rendered.
    #[error("{0}")]
    Text(String),
}

impl Error {
    /// A file that is damaged or not what its format allows.
    pub(crate) fn format(
        path: &std::path::Path,
        place: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self::Format { path: path.to_owned(), place: place.into(), problem: problem.into() }
    }

    /// What the system said about a file.
    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

/// A name out of a file as messages show it: quoted, escaped, and not longer than a line.
pub(crate) fn quote(name: &str) -> String {
    const SHOWN: usize = 100;
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &name[..end]),
        None => format!("{name:?}"),
    }
}
