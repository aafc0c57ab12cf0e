//! The file itself: private, without a name, read and written at offsets.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use edgeformer_core::{Error, Result};

/// What pages are written to. A file, but for tests of what happens when it fails.
pub(in crate::cache) trait Medium: Send + Sync + 'static {
    /// Fills `to` with what was written at `offset`. A short read is an error.
    fn read_at(&self, to: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `from` at `offset`.
    fn write_at(&self, from: &[u8], offset: u64) -> io::Result<()>;
}

/// A file in `folder` that only this process can open: it has no name, so it is gone when the
/// process is, however that ends.
///
/// # Errors
/// If `folder` is not there, is no folder, or no file can be made in it.
pub(super) fn create(folder: &Path) -> Result<File> {
    let refused = |problem: String| {
        let folder = folder.display();
        Error::Config(format!("spill folder {folder}: {problem}; name a folder to write to"))
    };
    let metadata = fs::metadata(folder).map_err(|error| refused(error.to_string()))?;
    if !metadata.is_dir() {
        return Err(refused("it is not a folder".into()));
    }
    let file = tempfile::tempfile_in(folder).and_then(private);
    file.map_err(|error| refused(format!("no file can be made in it: {error}")))
}

/// Files that never had a name are made with whatever the umask leaves.
#[cfg(unix)]
fn private(file: File) -> io::Result<File> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

#[cfg(not(unix))]
fn private(file: File) -> io::Result<File> {
    Ok(file)
}

#[cfg(unix)]
impl Medium for File {
    fn read_at(&self, to: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, to, offset)
    }

    fn write_at(&self, from: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, from, offset)
    }
}

#[cfg(windows)]
impl Medium for File {
    fn read_at(&self, mut to: &mut [u8], mut offset: u64) -> io::Result<()> {
        use std::os::windows::fs::FileExt;
        while !to.is_empty() {
            match self.seek_read(to, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    to = &mut to[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_at(&self, mut from: &[u8], mut offset: u64) -> io::Result<()> {
        use std::os::windows::fs::FileExt;
        while !from.is_empty() {
            match self.seek_write(from, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    from = &from[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
