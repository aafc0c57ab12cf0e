//! The tensors of a file or of a folder.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use edgeformer_core::Tensor;

use super::header::{self, Entry};
use super::{Dtype, INDEX_FILE, SINGLE_FILE, index};
use crate::error::quote;
use crate::map::{MappedFile, map_file};
use crate::{Error, Result};

/// The tensors of a safetensors file, or of a folder with `model.safetensors` or with
/// `model.safetensors.index.json` and its shards.
#[derive(Debug)]
pub struct Safetensors {
    path: PathBuf,
    shards: Vec<Shard>,
}

/// One file.
#[derive(Debug)]
pub(super) struct Shard {
    path: PathBuf,
    bytes: Bytes,
    /// Where the bytes come from, if that is a file.
    file: Option<MappedFile>,
    /// Ordered by name.
    entries: Vec<Entry>,
}

/// The bytes of a shard.
pub(super) struct Source {
    bytes: Bytes,
    file: Option<MappedFile>,
}

impl Source {
    fn open(path: &Path) -> Result<Self> {
        let file = MappedFile::open(path)?;
        Ok(Self { bytes: file.as_ref().map_or_else(Bytes::new, MappedFile::bytes), file })
    }
}

impl From<Bytes> for Source {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, file: None }
    }
}

impl Shard {
    pub(super) fn read(path: PathBuf, source: impl Into<Source>) -> Result<Self> {
        let Source { bytes, file } = source.into();
        let entries = header::read(&path, &bytes)?;
        Ok(Self { path, bytes, file, entries })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        let found = self.entries.binary_search_by(|entry| (*entry.name).cmp(name)).ok()?;
        Some(&self.entries[found])
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }
}

/// What a file says about one of its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorInfo<'a> {
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its dimensions, outermost first; empty for a scalar.
    pub shape: &'a [usize],
    /// Bytes that it takes.
    pub byte_len: usize,
}

impl Safetensors {
    /// Opens and validates a file or a folder, memory-mapped.
    ///
    /// # Errors
    /// If a file cannot be opened or is damaged, the folder has none, or the index does not fit
    /// its shards.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Self::one(path.to_owned(), Source::open(path)?);
        }
        let single = path.join(SINGLE_FILE);
        if single.exists() {
            let source = Source::open(&single)?;
            return Self::one(single, source);
        }
        let index = path.join(INDEX_FILE);
        if index.exists() {
            let open = |file: &str| Self::open_shard(&index, path.join(file));
            return Ok(Self {
                shards: index::read(&index, &map_file(&index)?, open)?,
                path: index.clone(),
            });
        }
        Err(Error::format(
            path,
            "folder",
            format!(
                "holds neither {SINGLE_FILE} nor {INDEX_FILE}: name a folder with one of them, \
                 or save the model in this format"
            ),
        ))
    }

    fn open_shard(index: &Path, shard: PathBuf) -> Result<(PathBuf, Source)> {
        if !shard.exists() {
            let name = shard.file_name().unwrap_or_default().to_string_lossy();
            let problem = format!("shard {} is missing: get it too", quote(&name));
            return Err(Error::format(index, "weight_map", problem));
        }
        let source = Source::open(&shard)?;
        Ok((shard, source))
    }

    /// Validates a file that is in memory; `name` stands for its path in messages.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn from_bytes(name: impl Into<PathBuf>, bytes: Bytes) -> Result<Self> {
        Self::one(name.into(), bytes.into())
    }

    fn one(path: PathBuf, source: Source) -> Result<Self> {
        Ok(Self { shards: vec![Shard::read(path.clone(), source)?], path })
    }

    /// The files that tensors are slices of.
    pub(crate) fn files(&self) -> impl Iterator<Item = &MappedFile> {
        self.shards.iter().filter_map(|shard| shard.file.as_ref())
    }

    /// Validates a sharded model that is in memory: its index, and a function that gives the
    /// shard of a name.
    ///
    /// # Errors
    /// If something is damaged, the index does not fit the shards, or what `shard` says.
    pub fn from_index(
        name: impl Into<PathBuf>,
        index: &[u8],
        mut shard: impl FnMut(&str) -> Result<Bytes>,
    ) -> Result<Self> {
        let path = name.into();
        let open = |file: &str| Ok((path.with_file_name(file), shard(file)?.into()));
        Ok(Self { shards: index::read(&path, index, open)?, path })
    }

    /// The file, or the index of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all tensors, ordered within each file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.shards.iter().flat_map(Shard::entries).map(|entry| &*entry.name)
    }

    /// Bytes of all files.
    pub fn file_len(&self) -> usize {
        self.shards.iter().map(|shard| shard.bytes.len()).sum()
    }

    /// Type and shape of a tensor.
    pub fn info(&self, name: &str) -> Option<TensorInfo<'_>> {
        let (_, entry) = self.find(name)?;
        let Entry { dtype, shape, start, end, .. } = entry;
        Some(TensorInfo { dtype: *dtype, shape, byte_len: end - start })
    }

    /// The tensor of that name, if its type is F32, F16 or BF16: a slice of the file, nothing is
    /// copied. A scalar has shape `[1]`.
    pub fn tensor(&self, name: &str) -> Option<Tensor> {
        let (shard, entry) = self.find(name)?;
        let format = entry.dtype.format()?;
        let shape = if entry.shape.is_empty() { &[1] } else { &*entry.shape };
        let tensor = Tensor::new(format, shape, shard.bytes.slice(entry.start..entry.end));
        Some(tensor.expect("tensors were validated when the file was opened"))
    }

    /// The integers of that tensor, `None` where there is no such tensor.
    ///
    /// # Errors
    /// If its elements are no integers, or one passes i64.
    pub fn integers(&self, name: &str) -> Result<Option<Integers<'_>>> {
        let Some((shard, entry)) = self.find(name) else {
            return Ok(None);
        };
        let integers = Integers {
            dtype: entry.dtype,
            shape: &entry.shape,
            bytes: &shard.bytes[entry.start..entry.end],
        };
        let mut chunks = integers.bytes.chunks_exact(entry.dtype.size());
        if chunks.all(|bytes| entry.dtype.integer(bytes).is_some()) {
            return Ok(Some(integers));
        }
        let problem =
            format!("must hold integers of at most 64 bits, holds {}", entry.dtype.name());
        Err(Error::format(&shard.path, format!("tensor {}", quote(name)), problem))
    }

    fn find(&self, name: &str) -> Option<(&Shard, &Entry)> {
        self.shards.iter().find_map(|shard| Some((shard, shard.entry(name)?)))
    }
}

/// A tensor of integers or booleans.
#[derive(Debug, Clone, Copy)]
pub struct Integers<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    bytes: &'a [u8],
}

impl<'a> Integers<'a> {
    /// Its dimensions, outermost first; empty for a scalar.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// Never: shapes have no zeros.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Its elements in row-major order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = i64> + use<'a> {
        let dtype = self.dtype;
        self.bytes.chunks_exact(dtype.size()).map(move |bytes| {
            dtype.integer(bytes).expect("all elements were checked to be integers")
        })
    }

    /// Its elements in row-major order.
    pub fn to_vec(&self) -> Vec<i64> {
        self.iter().collect()
    }
}
