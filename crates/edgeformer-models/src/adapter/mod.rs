//! Low-rank adapters in files: folders as Python's `peft` writes them, GGUF files as llama.cpp's
//! `convert_lora_to_gguf.py` does.
//!
//! - `peft`: a folder, read and written
//! - `gguf`: a file, read and written
//! - `place`: the weights of a model that the parts of a file are for, rows where the model's
//!   files have them

mod gguf;
mod peft;
mod place;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgeformer_core::{Adapter, Backing, LowRank, Tensor};

use crate::checkpoint::Checkpoint;
use crate::error::quote;
use crate::open::{ModelFile, SourceKind};
use crate::{Error, Result};

pub use gguf::write_gguf;
pub use peft::{PeftOptions, write_peft};

/// An adapter as its files have it: not yet that of a model.
#[derive(Debug, Clone)]
pub struct AdapterFile {
    path: PathBuf,
    source: AdapterSource,
    parts: Vec<Part>,
    backings: Vec<Arc<dyn Backing>>,
}

/// What the files of an adapter are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum AdapterSource {
    /// A folder of `peft`: names are those of modules in Hugging Face's models.
    Peft,
    /// A GGUF file: names and rows are GGUF's.
    Gguf { architecture: String },
}

/// What is added to one weight, under the file's name for it.
#[derive(Debug, Clone)]
struct Part {
    name: String,
    pair: LowRank,
}

/// Where the rows of queries and keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    HuggingFace,
    Gguf,
}

impl Layout {
    fn of(file: &ModelFile) -> Self {
        match file.source.kind {
            SourceKind::Gguf(_) => Self::Gguf,
            SourceKind::HuggingFace { .. } => Self::HuggingFace,
        }
    }
}

impl AdapterFile {
    /// Opens a folder of `peft`, or a GGUF file. Tensors are mapped, not read.
    ///
    /// # Errors
    /// If something is damaged, missing or left over, or the adapter is of a kind that is not read.
    pub fn open(path: &Path) -> Result<Self> {
        let opened = if path.is_dir() { peft::read(path) } else { gguf::read(path) }?;
        if opened.parts.is_empty() {
            return Err(Error::format(path, "tensors", "there is none: get the adapter again"));
        }
        Ok(opened)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Numbers of the matrices in all.
    pub fn elements(&self) -> usize {
        self.parts.iter().map(|part| part.pair.a.elements() + part.pair.b.elements()).sum()
    }

    /// The adapter for a model that is open: its names, its order of rows.
    ///
    /// # Errors
    /// If it is for another model.
    pub fn for_model(&self, file: &ModelFile) -> Result<Adapter> {
        let graph = &file.model.graph;
        let shape = |name: &str| Some(graph.weight(graph.weight_id(name)?).shape.clone());
        place::placed(self, &file.hyper, Layout::of(file), &shape)
    }

    /// The adapter for the checkpoint of a model, which is what GGUF would hold.
    ///
    /// # Errors
    /// If it is for another model.
    pub fn for_checkpoint(&self, file: &ModelFile, checkpoint: &Checkpoint) -> Result<Adapter> {
        let shape = |name: &str| Some(checkpoint.tensor(name)?.shape().to_vec());
        place::placed(self, &file.hyper, Layout::Gguf, &shape)
    }

    fn error(&self, part: &str, problem: impl Into<String>) -> Error {
        Error::format(&self.path, format!("weight {}", quote(part)), problem)
    }
}

/// The matrices of an adapter as they are found, one after the other.
#[derive(Default)]
struct Half {
    a: Option<Tensor>,
    b: Option<Tensor>,
}

impl Half {
    /// Both, or which one is missing.
    fn both(self) -> Result<(Tensor, Tensor), &'static str> {
        match (self.a, self.b) {
            (Some(a), Some(b)) => Ok((a, b)),
            (None, _) => Err("A"),
            (_, None) => Err("B"),
        }
    }
}
