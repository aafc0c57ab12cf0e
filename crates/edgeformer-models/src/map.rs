//! Files as memory: the one place of this crate with `unsafe` in it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use edgeformer_core::{Backing, FileStamp};
use memmap2::{Mmap, UncheckedAdvice};

use crate::{Error, Result};

/// Linux maps so many bytes around one that is read, from a multiple of it on
/// (`fault_around_bytes`); more where the page cache holds the file in larger pieces.
const AROUND: usize = 64 << 10;

/// A regular file mapped into memory, read-only.
#[derive(Debug, Clone)]
pub(crate) struct MappedFile {
    map: Arc<Mmap>,
    stamp: FileStamp,
}

impl MappedFile {
    /// Maps a file; `None` if it is empty.
    ///
    /// The file must not be shortened or changed while it is mapped; programs that replace a
    /// model do so by renaming a new file over it, as [`crate::atomic`] does.
    ///
    /// # Errors
    /// If it cannot be opened or mapped, or is not a regular file.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let io = |source| Error::io(path, source);
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() { "this is a folder" } else { "this is not a file" };
            return Err(Error::format(path, "file", format!("{what}: name a regular file")));
        }
        if metadata.len() == 0 {
            return Ok(None);
        }
        // SAFETY: the mapping is private to this process, read-only, and as long as the file was
        // when it was opened. That nobody shortens or rewrites the file in place meanwhile cannot
        // be checked; it is the documented condition of opening a model, and everything read from
        // the mapping is treated as bytes, for which every value is valid.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
        let modified = metadata.modified().ok().and_then(since);
        Ok(Some(Self { map: Arc::new(map), stamp: FileStamp { bytes: metadata.len(), modified } }))
    }

    /// Its bytes. The file stays mapped until the last slice of them is gone.
    pub fn bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl Backing for MappedFile {
    fn release(&self, bytes: &[u8]) {
        let own = self.map.as_ptr_range();
        let given = bytes.as_ptr_range();
        if bytes.is_empty() || given.start < own.start || given.end > own.end {
            return;
        }
        // Reading the first of them brought some before them back that were given up already.
        let start = (given.start as usize / AROUND * AROUND).max(own.start as usize);
        let (offset, len) = (start - own.start as usize, given.end as usize - start);
        // A hint: what the system makes of it changes no byte.
        // SAFETY: the range lies in the mapping, which is a read-only one of a file: pages that
        // are dropped are read from the file again, with the same bytes.
        let _ = unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, len) };
    }

    fn release_all(&self) {
        self.release(&self.map);
    }

    fn stamp(&self) -> Option<FileStamp> {
        Some(self.stamp)
    }
}

/// The bytes of a regular file, memory-mapped. It must not be shortened or changed meanwhile:
/// programs that replace a file rename a new one over it, as [`crate::atomic`] does.
///
/// # Errors
/// If it cannot be opened or mapped, or is not a regular file.
pub(crate) fn map_file(path: &Path) -> Result<Bytes> {
    let file = MappedFile::open(path)?;
    Ok(file.as_ref().map_or_else(Bytes::new, MappedFile::bytes))
}

/// The bytes of a regular file of weights that are used as they lie there, step after step:
/// memory-mapped, in huge pages where the system grants them. It must not be shortened or changed
/// meanwhile: programs that replace a file rename a new one over it, as [`crate::atomic`] does.
///
/// # Errors
/// If it cannot be opened or mapped, or is not a regular file.
pub fn map_weights(path: &Path) -> Result<Bytes> {
    let Some(file) = MappedFile::open(path)? else { return Ok(Bytes::new()) };
    // A hint: what is read from the disk is kept in huge pages where the file system can.
    #[cfg(target_os = "linux")]
    let _ = file.map.advise(memmap2::Advice::HugePage);
    Ok(file.bytes())
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
            assert_eq!(map_weights(&path).expect("mapped"), content);
        }
        let error = map_file(folder.path()).expect_err("a folder").to_string();
        assert!(error.ends_with(": file: this is a folder: name a regular file"), "{error}");
        map_file(&folder.path().join("absent")).expect_err("absent");
        map_weights(folder.path()).expect_err("a folder");
        map_weights(&folder.path().join("absent")).expect_err("absent");
    }

    /// A file of that content, mapped, and the folder that it is in.
    fn mapped(content: &[u8]) -> (tempfile::TempDir, MappedFile) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        std::fs::write(&path, content).expect("written");
        let file = MappedFile::open(&path).expect("mapped").expect("not empty");
        (folder, file)
    }

    #[test]
    fn released_bytes_stay_readable() {
        let content: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
        let (_folder, file) = mapped(&content);
        let bytes = file.bytes();
        file.release(&bytes[5_000..90_001]);
        file.release(&content);
        file.release(&[]);
        assert_eq!(bytes, content);
    }

    /// Bytes of a mapping that are in memory.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    fn resident(bytes: &[u8]) -> usize {
        let start = format!("{:x}-", bytes.as_ptr() as usize);
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("readable");
        let own = smaps.lines().skip_while(|line| !line.starts_with(&start));
        let line = own.skip(1).find_map(|line| line.strip_prefix("Rss:")).expect("mapped");
        let kib = line.trim().strip_suffix(" kB").expect("a size");
        kib.parse::<usize>().expect("a number") << 10
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn released_bytes_are_out_of_memory() {
        let content: Vec<u8> = (0..5_000_000u32).map(|i| i as u8).collect();
        let (_folder, file) = mapped(&content);
        let bytes = file.bytes();
        assert_eq!(bytes, content);
        assert!(resident(&bytes) >= content.len());
        file.release_all();
        assert_eq!(resident(&bytes), 0);
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
