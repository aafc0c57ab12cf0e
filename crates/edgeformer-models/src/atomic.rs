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

/// Writes a folder through a temporary one beside it, which `write` fills and which takes the
/// final name when that is done. After an error what stood under `path` stands there still.
///
/// A folder of a model or of an adapter that is there already is replaced as a whole, with everything in it; one
/// that holds anything else is not.
///
/// # Errors
/// If the folder cannot be made or replaced, or `write` fails.
pub fn write_folder_atomically(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let io = |source| Error::io(path, source);
    let exists = fs::symlink_metadata(path).is_ok();
    if exists && !is_replaceable(path).map_err(io)? {
        let problem = "this is no folder of a model, and is not replaced: name another";
        return Err(Error::format(path, "folder", problem));
    }
    let temporary = Temporary::folder_beside(path).map_err(io)?;
    write(temporary.path())?;
    if !exists {
        return temporary.rename(path).map_err(io);
    }
    let old = Temporary::folder_beside(path).map_err(io)?;
    fs::remove_dir(old.path()).and_then(|()| fs::rename(path, old.path())).map_err(io)?;
    temporary.rename(path).map_err(|source| {
        // What was there comes back under its name.
        let _ = fs::rename(old.path(), path);
        io(source)
    })
}

/// Whether a folder is empty or holds a model or an adapter.
fn is_replaceable(path: &Path) -> io::Result<bool> {
    if !path.is_dir() || path.is_symlink() {
        return Ok(false);
    }
    let is_known =
        ["config.json", "adapter_config.json"].iter().any(|name| path.join(name).is_file());
    Ok(is_known || fs::read_dir(path)?.next().is_none())
}

/// A file or folder that is deleted when it goes out of scope without having been renamed.
struct Temporary(Option<PathBuf>);

impl Temporary {
    fn beside(target: &Path) -> io::Result<(Self, File)> {
        let path = Self::name_beside(target)?;
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok((Self(Some(path)), file))
    }

    fn folder_beside(target: &Path) -> io::Result<Self> {
        let path = Self::name_beside(target)?;
        fs::create_dir(&path)?;
        Ok(Self(Some(path)))
    }

    fn name_beside(target: &Path) -> io::Result<PathBuf> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let file_name = target.file_name().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "this does not name a file")
        })?;
        let mut name = OsString::from(".");
        name.push(file_name);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        name.push(format!(".{}-{count}.tmp", std::process::id()));
        Ok(target.with_file_name(name))
    }

    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
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
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in a folder, and what the file `out` holds.
    fn state(folder: &Path) -> (usize, Option<String>) {
        let files = fs::read_dir(folder).expect("a folder").count();
        (files, fs::read_to_string(folder.join("out")).ok())
    }

    #[test]
    fn a_file_appears_whole() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("out");
        for text in ["first", "second"] {
            write_atomically(&path, |out| out.write_all(text.as_bytes())).expect("written");
            assert_eq!(state(folder.path()), (1, Some(text.into())));
        }
    }

    #[test]
    fn a_failure_leaves_what_was_there() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("out");
        let fail = |out: &mut dyn Write| {
            out.write_all(&vec![b'x'; 1 << 20])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        write_atomically(&path, fail).expect_err("the disk is full");
        assert_eq!(state(folder.path()), (0, None));
        fs::write(&path, "before").expect("written");
        let error = write_atomically(&path, fail).expect_err("the disk is full");
        assert_eq!(state(folder.path()), (1, Some("before".into())));
        assert!(error.to_string().starts_with(&*path.to_string_lossy()), "{error}");
    }

    #[test]
    fn a_panic_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("out");
        let outcome = std::panic::catch_unwind(|| {
            let _ = write_atomically(&path, |_| panic!("while writing"));
        });
        assert!(outcome.is_err());
        assert_eq!(state(folder.path()), (0, None));
    }

    #[test]
    fn a_folder_appears_whole_and_replaces_a_model_only() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model");
        let fill = |name: &'static str| {
            move |folder: &Path| {
                fs::write(folder.join(name), name).map_err(|source| Error::io(folder, source))
            }
        };
        let names = || -> Vec<String> {
            let entries = fs::read_dir(&path).expect("a folder");
            entries
                .map(|entry| entry.expect("one").file_name().into_string().expect("text"))
                .collect()
        };
        write_folder_atomically(&path, fill("config.json")).expect("written");
        assert_eq!(names(), ["config.json"]);
        let failing = |_: &Path| Err(Error::Text("half way".into()));
        write_folder_atomically(&path, failing).expect_err("it fails");
        assert_eq!(names(), ["config.json"]);
        write_folder_atomically(&path, fill("other")).expect("a model is replaced");
        assert_eq!(names(), ["other"]);
        let error = write_folder_atomically(&path, fill("third")).expect_err("no model");
        assert!(error.to_string().contains("is no folder of a model"), "{error}");
        assert_eq!(
            (names(), fs::read_dir(folder.path()).expect("a folder").count()),
            (vec!["other".into()], 1)
        );
    }

    #[test]
    fn an_absent_folder_is_told() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("absent").join("out");
        write_atomically(&path, |_| Ok(())).expect_err("there is no such folder");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let link = folder.path().join("link");
        fs::write(folder.path().join("out"), "before").expect("written");
        std::os::unix::fs::symlink("out", &link).expect("linked");
        write_atomically(&link, |out| out.write_all(b"after")).expect("written");
        assert!(link.is_symlink());
        assert_eq!(state(folder.path()), (2, Some("after".into())));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_told_and_stays_a_device() {
        let path = Path::new("/dev/full");
        let error = write_atomically(path, |out| out.write_all(b"text")).expect_err("it is full");
        assert!(matches!(&error, Error::Io { source, .. }
            if source.kind() == io::ErrorKind::StorageFull));
        assert!(!fs::metadata(path).expect("is there").is_file());
    }
}
