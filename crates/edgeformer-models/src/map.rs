//! Files as memory: the one place of this crate with `unsafe` in it.

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use memmap2::Mmap;

use crate::{Error, Result};

/// Maps a regular file into memory, read-only. Slices of the result are reference-counted: the
/// file stays mapped until the last of them is gone.
///
/// The file must not be shortened or changed while it is mapped; programs that replace a model
/// do so by renaming a new file over it, as [`crate::atomic`] does.
///
/// # Errors
/// If it cannot be opened or mapped, or is not a regular file.
pub(crate) fn map_file(path: &Path) -> Result<Bytes> {
    let io = |source| Error::io(path, source);
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "this is a folder" } else { "this is not a file" };
        return Err(Error::format(path, "file", format!("{what}: name a regular file")));
    }
    if metadata.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the mapping is private to this process, read-only, and as long as the file was
    // when it was opened. That nobody shortens or rewrites the file in place meanwhile cannot be
    // checked; it is the documented condition of opening a model, and everything read from the
    // mapping is treated as bytes, for which every value is valid.
    let map = unsafe { Mmap::map(&file) }.map_err(io)?;
    Ok(Bytes::from_owner(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_mapped_and_others_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        for content in [&b""[..], b"content"] {
            std::fs::write(&path, content).expect("written");
            assert_eq!(map_file(&path).expect("mapped"), content);
        }
        let error = map_file(folder.path()).expect_err("a folder").to_string();
        assert!(error.ends_with(": file: this is a folder: name a regular file"), "{error}");
        map_file(&folder.path().join("absent")).expect_err("absent");
    }

    #[test]
    fn slices_keep_the_mapping() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "content").expect("written");
        let slice = map_file(&path).expect("mapped").slice(3..);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(&slice[..], b"tent");
    }
}
