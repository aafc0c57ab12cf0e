//! A model's files as GGUF would hold them, whatever they are: to be changed and written again.
//!
//! - `lazy`: tensors that are made when they are asked for
//! - `from_gguf`: a GGUF file, as it is
//! - `from_hf`: a Hugging Face folder, as llama.cpp's converter would make it
//! - `to_hf`: the way back, to a folder
//! - `moves`: what lies elsewhere in GGUF, and the way back
//! - `outtype`, `dtypes`: the formats of tensors
//! - `header`: a checkpoint as the readers of GGUF files see it

mod dtypes;
mod from_gguf;
mod from_hf;
mod header;
mod lazy;
mod moves;
mod outtype;
#[cfg(test)]
mod tests;
mod to_hf;

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgeformer_core::Backing;

use crate::Result;
use crate::gguf::{Gguf, GgufWriter, MetadataValue};

pub(crate) use from_hf::architecture;
pub use lazy::LazyTensor;
pub(crate) use moves::{Move, split_up};
pub use outtype::OutType;
pub(crate) use to_hf::module_prefix;

/// Metadata and tensors under GGUF's keys and names, in llama.cpp's layout.
///
/// Tensors are made when they are asked for: a checkpoint takes no memory for weights, and a
/// program that goes through it holds one tensor at a time.
#[derive(Clone)]
pub struct Checkpoint {
    path: PathBuf,
    /// Keys and values, in the order in which they are written.
    pub metadata: Vec<(String, MetadataValue<'static>)>,
    /// Tensors, in the order in which they are written.
    pub tensors: Vec<LazyTensor>,
    backings: Vec<Arc<dyn Backing>>,
}

impl Checkpoint {
    /// Opens a GGUF file as it is, or a Hugging Face folder as llama.cpp's
    /// `convert_hf_to_gguf.py` would make it. Tensors keep their formats, but for vectors and
    /// norms, which are f32 in GGUF.
    ///
    /// # Errors
    /// If something is damaged, missing, left over or unknown, or GGUF cannot state it.
    pub fn open(path: &Path) -> Result<Self> {
        match crate::open::gguf_file(path)? {
            Some(file) => Ok(Self::from(&Gguf::open(&file)?)),
            None => from_hf::open(path),
        }
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&MetadataValue<'static>> {
        self.metadata.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// Sets a key: in its place if it is there, else behind the others.
    pub fn set(&mut self, key: &str, value: impl Into<MetadataValue<'static>>) {
        let value = value.into();
        match self.metadata.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.metadata.push((key.to_owned(), value)),
        }
    }

    /// Takes a key away; nothing if it is not there.
    pub fn unset(&mut self, key: &str) {
        self.metadata.retain(|(known, _)| known != key);
    }

    /// `general.architecture`, by which the keys of a family begin.
    pub fn architecture(&self) -> Option<&str> {
        self.get("general.architecture")?.as_str()
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&LazyTensor> {
        self.tensors.iter().find(|tensor| tensor.name() == name)
    }

    /// Whether it has a head of its own, of tokens or of classes: else the table of embeddings is
    /// the head, or there is none.
    pub fn has_head(&self) -> bool {
        ["output.weight", "cls.output.weight"].iter().any(|head| self.tensor(head).is_some())
    }

    /// Gives up the memory of everything that was read from its files.
    pub fn release(&self) {
        self.backings.iter().for_each(|backing| backing.release_all());
    }

    /// Writes it as a GGUF file, a tensor at a time.
    ///
    /// # Errors
    /// If a tensor cannot be made, or the file not be written.
    pub fn write_gguf(&self, path: &Path) -> Result<()> {
        self.write_gguf_telling(path, &|_, _| Ok(()))
    }

    /// A writer that has its metadata, and no tensors yet.
    pub fn metadata_writer(&self) -> GgufWriter<'_> {
        let mut writer = GgufWriter::new();
        for (key, value) in &self.metadata {
            writer.metadata(key.as_str(), value.clone());
        }
        writer
    }

    /// [`Checkpoint::write_gguf`]; `progress` hears of bytes written and of all of them, and may
    /// end it.
    ///
    /// # Errors
    /// As [`Checkpoint::write_gguf`], and what `progress` says.
    pub fn write_gguf_telling(
        &self,
        path: &Path,
        progress: &dyn Fn(u64, u64) -> io::Result<()>,
    ) -> Result<()> {
        let all = self.tensors.iter().map(LazyTensor::bytes).sum();
        let written = Cell::new(0);
        let written = &written;
        let mut writer = self.metadata_writer();
        for tensor in &self.tensors {
            writer.generated(tensor.name(), tensor.format(), tensor.shape(), move |out| {
                let made = tensor.load().map_err(std::io::Error::other)?;
                out.write_all(made.bytes())?;
                self.release();
                written.set(written.get() + tensor.bytes());
                progress(written.get(), all)
            });
        }
        writer.write_file(path)
    }
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint")
            .field("path", &self.path)
            .field("keys", &self.metadata.len())
            .field("tensors", &self.tensors)
            .finish_non_exhaustive()
    }
}
