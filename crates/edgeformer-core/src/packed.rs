//! Weights that a backend has packed before, in a file beside the model's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

/// What tells a file that has not been touched since, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// Its length.
    pub bytes: u64,
    /// When it was last written, since 1970; `None` where the system does not tell.
    pub modified: Option<Duration>,
}

impl FileStamp {
    /// Whether a file that had the stamp `before` is untouched. Programs that copy files with
    /// their times may keep whole seconds alone.
    pub fn is_still(&self, before: &Self) -> bool {
        let (Some(now), Some(then)) = (self.modified, before.modified) else { return false };
        let cut = Duration::from_secs(then.as_secs());
        self.bytes == before.bytes && (now == then || now == cut)
    }
}

/// A file of packed weights, mapped. Nothing of it has been looked at.
#[derive(Debug, Clone)]
pub struct PackedFile {
    path: PathBuf,
    bytes: Bytes,
}

impl PackedFile {
    /// What every one begins with, whichever backend has written it.
    pub const MAGIC: [u8; 8] = *b"EFPACKED";

    /// The file at `path` with these bytes. They begin at an address that is a multiple of 64,
    /// as a mapped file does.
    pub fn new(path: impl Into<PathBuf>, bytes: Bytes) -> Self {
        Self { path: path.into(), bytes }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of it.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Two are the same if they are the same memory: their bytes may be gigabytes.
impl PartialEq for PackedFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.bytes.as_ptr_range() == other.bytes.as_ptr_range()
    }
}

impl Eq for PackedFile {}

/// What becomes of a packed file when its model is compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackedUse {
    /// There is none, or it is not wanted: what is packed is packed anew.
    Absent,
    /// The weights of so many tensors are used as it holds them.
    Mapped(usize),
    /// It does not belong to this model or program, or is damaged: one sentence. Weights are
    /// packed as without it.
    Refused(String),
}

/// What a file of packed weights holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PackedSummary {
    /// Tensors in it.
    pub tensors: usize,
    /// Bytes of the file.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(bytes: u64, modified: Option<Duration>) -> FileStamp {
        FileStamp { bytes, modified }
    }

    #[test]
    fn a_file_is_untouched_if_length_and_time_say_so() {
        let then = stamp(7, Some(Duration::new(100, 5)));
        assert!(then.is_still(&then));
        assert!(stamp(7, Some(Duration::new(100, 0))).is_still(&then), "copied in whole seconds");
        for other in [
            stamp(8, then.modified),
            stamp(7, Some(Duration::new(100, 6))),
            stamp(7, Some(Duration::new(101, 0))),
            stamp(7, None),
        ] {
            assert!(!other.is_still(&then), "{other:?}");
        }
        let unknown = stamp(7, None);
        assert!(!unknown.is_still(&unknown), "what is unknown proves nothing");
    }

    #[test]
    fn files_are_the_same_by_place() {
        let bytes = Bytes::from(vec![1, 2, 3]);
        let file = PackedFile::new("a", bytes.clone());
        assert_eq!(file, PackedFile::new("a", bytes.clone()));
        assert_ne!(file, PackedFile::new("b", bytes.clone()));
        assert_ne!(file, PackedFile::new("a", Bytes::from(vec![1, 2, 3])));
        assert_ne!(file, PackedFile::new("a", bytes.slice(..2)));
    }
}
