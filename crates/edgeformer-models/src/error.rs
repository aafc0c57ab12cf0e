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
