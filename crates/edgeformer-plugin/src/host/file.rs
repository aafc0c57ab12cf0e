//! Which files are loaded at all.

use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};

use super::{Digest, LoadError, Result};

/// Whether a file may be loaded: what else is in it is looked at by the system's loader.
pub fn check(path: &Path, allowed: &[Digest]) -> Result<()> {
    let wrong = |problem: String| LoadError::new(path, problem);
    check_absolute(path)?;
    // What is loaded is what a link leads to.
    let metadata = fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if !metadata.is_file() {
        return Err(wrong("is not a regular file".into()));
    }
    if is_world_writable(&metadata) {
        return Err(wrong("everybody may write to it: chmod o-w it".into()));
    }
    if allowed.is_empty() {
        return Ok(());
    }
    let read = File::open(path).and_then(Digest::of);
    let digest = read.map_err(|error| wrong(error.to_string()))?;
    match allowed.contains(&digest) {
        true => Ok(()),
        false => Err(wrong(format!(
            "its SHA-256 is {digest}, which is not among those allowed: --plugin-digest allows it"
        ))),
    }
}

/// The libraries in a folder, by name.
pub fn libraries(folder: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |error: std::io::Error| LoadError::new(folder, error.to_string());
    check_absolute(folder)?;
    if is_world_writable(&fs::metadata(folder).map_err(wrong)?) {
        return Err(LoadError::new(folder, "everybody may write to this folder: chmod o-w it"));
    }
    let mut libraries = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension == Some(std::env::consts::DLL_EXTENSION) {
            libraries.push(path);
        }
    }
    libraries.sort();
    Ok(libraries)
}

/// A relative path would be looked up in the current folder, which others may fill.
fn check_absolute(path: &Path) -> Result<()> {
    match path.is_absolute() {
        true => Ok(()),
        false => Err(LoadError::new(path, "plugins have absolute paths: name it from the root on")),
    }
}

#[cfg(unix)]
fn is_world_writable(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o002 != 0
}

#[cfg(not(unix))]
fn is_world_writable(_: &Metadata) -> bool {
    false
}
