//! From a library to a [`Backend`](edgeformer_core::Backend).
//!
//! - `file`: which files are loaded at all; `digest`: SHA-256, where only known ones are
//! - `library`: the table in it, looked at before anything is called
//! - `call`: statuses and replies become results
//! - `model`: a model, lent
//! - `backend`, `program`, `session`: the traits

mod backend;
mod call;
mod digest;
mod file;
mod library;
mod model;
mod program;
mod session;

use std::path::{Path, PathBuf};

pub use backend::PluginBackend;
pub use digest::Digest;

/// The result of loading.
pub type Result<T, E = LoadError> = std::result::Result<T, E>;

/// Why a plugin is not loaded.
#[derive(Debug, thiserror::Error)]
#[error("plugin {}: {problem}", path.display())]
#[non_exhaustive]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl LoadError {
    fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }
}

/// Loads a plugin. It stays loaded for as long as the process lives: code of it may run in threads
/// that nobody knows of.
///
/// With `allowed` digests the file must have one of them.
///
/// # Errors
/// If the path is not absolute, the file is not a regular one, is writable for everybody, has none
/// of the digests, is not a library for this system, has no table of [`abi`](crate::abi) or one of
/// another version, or its backend cannot be made.
///
/// # Safety
/// The library is run as a part of this process: it must be what it says it is.
pub unsafe fn load(path: &Path, allowed: &[Digest]) -> Result<PluginBackend> {
    file::check(path, allowed)?;
    // SAFETY: the caller promises it.
    let table = unsafe { library::table(path) }?;
    PluginBackend::new(path, table)
}

/// The libraries in a folder, by name: those that a user has put there to be loaded.
///
/// # Errors
/// If the path is not absolute, or the folder cannot be read or is writable for everybody.
pub fn libraries(folder: &Path) -> Result<Vec<PathBuf>> {
    file::libraries(folder)
}
