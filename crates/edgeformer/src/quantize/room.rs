//! Room on the disk, looked at before anything is written.

use std::path::Path;

use crate::{Error, Result};

/// What files take besides their tensors: metadata, and the table of a vocabulary.
const BESIDE: u64 = 64 << 20;

/// Whether there is room for a file of that many bytes.
///
/// # Errors
/// If there is not, with how much is missing.
pub fn check(path: &Path, bytes: u64) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let free = fs4::available_space(folder)
        .map_err(|error| Error::Request(format!("{}: {error}", folder.display())))?;
    if free >= bytes.saturating_add(BESIDE.min(bytes)) {
        return Ok(());
    }
    Err(Error::Request(format!(
        "{}: the file takes about {bytes} bytes, its disk has {free} left: free some, or name a file on another disk",
        path.display()
    )))
}
