//! Files that appear whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// Writes a file through a temporary one beside it that takes the final name only when
/// everything has reached the disk. After an error what stood under `path` stands there still.
///
/// A symbolic link is followed. What is no regular file (`/dev/stdout`, a named pipe) cannot be
/// replaced by renaming and is written directly.
///
/// # Errors
/// If the file cannot be created, or `write` or the disk fails.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    replace(path, write).map_err(|source| Error::io(path, source))
}

fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let existing = fs::metadata(&target).ok();
    if existing.as_ref().is_some_and(|existing| !existing.is_file()) {
        return write_through(&OpenOptions::new().write(true).open(&target)?, write);
    }
    let (temporary, file) = Temporary::beside(&target)?;
    write_through(&file, write)?;
    if let Some(existing) = existing {
        file.set_permissions(existing.permissions())?;
    }
    file.sync_all()?;
    drop(file);
    temporary.rename(&target)
}

fn write_through(
    file: &File,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffered = BufWriter::with_capacity(1 << 18, file);
    write(&mut buffered)?;
    buffered.flush()
}

/// A file that is deleted when it goes out of scope without having been renamed.
struct Temporary(Option<PathBuf>);

impl Temporary {
    fn beside(target: &Path) -> io::Result<(Self, File)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let file_name = target.file_name().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "this does not name a file")
        })?;
        let mut name = OsString::from(".");
        name.push(file_name);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        name.push(format!(".{}-{count}.tmp", std::process::id()));
        let path = target.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok((Self(Some(path)), file))
    }

    fn rename(mut self, target: &Path) -> io::Result<()> {
        let path = self.0.take().expect("a temporary file is renamed once");
        fs::rename(&path, target).inspect_err(|_| self.0 = Some(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // There is nothing better to do if this fails too: the error that led here is told.
            let _ = fs::remove_file(path);
        }
    }
}
