//! An opened file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use edgeformer_core::{Format, Tensor};

use super::cursor::Cursor;
use super::metadata::Metadata;
use super::read::{self, Layout, TensorEntry};
use crate::Result;
use crate::map::MappedFile;

/// An opened GGUF file: every entry is valid, and every tensor lies in the file.
#[derive(Clone)]
pub struct Gguf {
    path: PathBuf,
    bytes: Bytes,
    /// Where the bytes come from, if that is a file.
    file: Option<MappedFile>,
    version: u32,
    alignment: usize,
    metadata: Metadata,
    /// Where the description of each tensor begins, in the file's order.
    tensors: Vec<usize>,
    /// The same, ordered by name.
    by_name: Vec<usize>,
    /// Where the data of the tensors begin.
    data: usize,
}

/// What a file says about one of its tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo<'a> {
    name: &'a str,
    format: Format,
    shape: Vec<usize>,
    range: Range<usize>,
}

impl Gguf {
    /// Opens and validates a file, memory-mapped.
    ///
    /// # Errors
    /// If it cannot be opened, or is damaged or not GGUF.
    pub fn open(path: &Path) -> Result<Self> {
        let file = MappedFile::open(path)?;
        let bytes = file.as_ref().map_or_else(Bytes::new, MappedFile::bytes);
        Ok(Self { file, ..Self::from_bytes(path, bytes)? })
    }

    /// Validates a file that is in memory; `name` stands for its path in messages.
    ///
    /// # Errors
    /// If it is damaged or not GGUF.
    pub fn from_bytes(name: impl Into<PathBuf>, bytes: Bytes) -> Result<Self> {
        let path = name.into();
        let Layout { version, alignment, entries, by_key, tensors, by_name, data } =
            read::layout(&path, &bytes)?;
        let metadata = Metadata::new(path.clone(), bytes.clone(), entries, by_key);
        Ok(Self { path, bytes, file: None, version, alignment, metadata, tensors, by_name, data })
    }

    /// Where the file lies, or the name it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version of the file's format.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The alignment of tensors in the file, in bytes.
    pub fn alignment(&self) -> usize {
        self.alignment
    }

    /// Bytes of the whole file.
    pub fn file_len(&self) -> usize {
        self.bytes.len()
    }

    /// The file that tensors are slices of, if it was opened as one.
    pub(crate) fn file(&self) -> Option<&MappedFile> {
        self.file.as_ref()
    }

    /// The metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What the file says about its tensors, in its order.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorInfo<'_>> {
        self.tensors.iter().map(|at| self.info_at(*at))
    }

    /// What the file says about the tensor of that name.
    pub fn info(&self, name: &str) -> Option<TensorInfo<'_>> {
        let name_at = |at: &usize| read_tensor(&mut self.cursor(*at)).name;
        let found = self.by_name.binary_search_by(|at| name_at(at).cmp(name)).ok()?;
        Some(self.info_at(self.by_name[found]))
    }

    /// The tensor of that name: a slice of the file, nothing is copied.
    pub fn tensor(&self, name: &str) -> Option<Tensor> {
        let info = self.info(name)?;
        let tensor = Tensor::new(info.format, info.shape, self.bytes.slice(info.range));
        Some(tensor.expect("tensors were validated when the file was opened"))
    }

    fn info_at(&self, at: usize) -> TensorInfo<'_> {
        let TensorEntry { name, format, dims, offset, len } = read_tensor(&mut self.cursor(at));
        let start = self.data + offset;
        TensorInfo { name, format, shape: dims.as_slice().to_vec(), range: start..start + len }
    }

    fn cursor(&self, at: usize) -> Cursor<'_> {
        Cursor::new(&self.path, &self.bytes, at)
    }
}

fn read_tensor<'a>(cursor: &mut Cursor<'a>) -> TensorEntry<'a> {
    TensorEntry::read(cursor).expect("tensors were validated when the file was opened")
}

impl std::fmt::Debug for Gguf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gguf")
            .field("path", &self.path)
            .field("version", &self.version)
            .field("keys", &self.metadata.len())
            .field("tensors", &self.tensors.len())
            .finish_non_exhaustive()
    }
}

impl<'a> TensorInfo<'a> {
    /// Its name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The format of its elements.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Its dimensions, outermost first (the file has them innermost first).
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Where its bytes lie in the file.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}
