//! The door: a path, and everything that a model's files hold.

mod folder;
mod gguf;
mod listing;
mod text_bytes;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use edgeformer_core::Model;
use edgeformer_core::graph::Pool;

use crate::generation::GenerationDefaults;
use crate::gguf::Gguf;
use crate::hyper::Hyper;
use crate::preprocessor::Preprocessor;
use crate::safetensors::Safetensors;
use crate::text::{ChatTemplate, Tokenizer};
use crate::{Error, Result, families};

pub(crate) use folder::{labels, preprocessor};
pub use listing::TensorLine;

/// Everything that a model's files hold. Weights are mapped, not read.
#[derive(Debug)]
pub struct ModelFile {
    /// Graph and weights.
    pub model: Arc<Model>,
    /// The numbers that the graph was built from.
    pub hyper: Hyper,
    /// The files themselves.
    pub source: Source,
    /// Text to token ids and back, where the files hold it and the options want it.
    pub tokenizer: Option<Tokenizer>,
    /// How a conversation becomes a prompt, where the files say so and there is a tokenizer.
    pub chat_template: Option<ChatTemplate>,
    /// How its makers would have it sampled.
    pub generation: GenerationDefaults,
    /// Names of the classes of a classifier, empty if there are none.
    pub labels: Vec<String>,
    /// How images are prepared, for a model that reads images.
    pub preprocessor: Option<Preprocessor>,
    /// How hidden states become one vector, where an encoder's files say so.
    pub pooling: Option<Pool>,
}

/// The files of a model.
#[derive(Debug)]
pub struct Source {
    /// The file or folder.
    pub path: PathBuf,
    /// What it is.
    pub kind: SourceKind,
}

/// What the files of a model are.
#[derive(Debug)]
pub enum SourceKind {
    /// One GGUF file.
    Gguf(Gguf),
    /// A folder as Hugging Face lays it out.
    HuggingFace {
        /// `config.json`, key by key.
        config: Vec<(String, String)>,
        /// Its tensors.
        tensors: Safetensors,
    },
}

/// What of a model's files is wanted.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions {
    /// Whether to build the tokenizer: the one part that takes time and memory.
    pub tokenizer: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { tokenizer: true }
    }
}

/// Opens a GGUF file, a folder as Hugging Face lays it out, or a folder with one GGUF file.
///
/// # Errors
/// One line that names the file, the place and the remedy, if anything is damaged, missing, left
/// over, unknown, or does not fit.
pub fn open(path: &Path) -> Result<ModelFile> {
    open_with(path, &OpenOptions::default())
}

/// [`open`], of what `options` want.
///
/// # Errors
/// As [`open`].
pub fn open_with(path: &Path, options: &OpenOptions) -> Result<ModelFile> {
    match gguf_file(path)? {
        Some(file) => gguf::open(file.clone(), Gguf::open(&file)?, options),
        None => folder::open(path, options),
    }
}

/// The GGUF file that a path names, `None` for a folder as Hugging Face lays it out.
pub(crate) fn gguf_file(path: &Path) -> Result<Option<PathBuf>> {
    if !path.is_dir() {
        return Ok(Some(path.into()));
    }
    if path.join(folder::CONFIG).is_file() {
        return Ok(None);
    }
    only_gguf(path).map(Some)
}

/// Opens a GGUF file that is in memory; `name` stands for its path.
///
/// # Errors
/// As [`open`].
pub fn open_gguf_bytes(
    name: impl Into<PathBuf>,
    bytes: Bytes,
    options: &OpenOptions,
) -> Result<ModelFile> {
    let name = name.into();
    gguf::open(name.clone(), Gguf::from_bytes(name, bytes)?, options)
}

impl ModelFile {
    /// Tokens that end a text: the tokenizer's marks and what the files' defaults name.
    pub fn end_tokens(&self) -> Vec<u32> {
        let mut ends = self.generation.end_tokens.clone();
        let marks = self.tokenizer.as_ref().map_or(&[][..], Tokenizer::end_tokens);
        ends.extend(marks.iter().copied().filter(|id| !self.generation.end_tokens.contains(id)));
        ends
    }
}

impl Source {
    /// Bytes of all files with weights.
    pub fn file_len(&self) -> usize {
        match &self.kind {
            SourceKind::Gguf(gguf) => gguf.file_len(),
            SourceKind::HuggingFace { tensors, .. } => tensors.file_len(),
        }
    }
}

/// The one GGUF file in a folder.
fn only_gguf(folder: &Path) -> Result<PathBuf> {
    let io = |source| Error::io(folder, source);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "gguf") {
            found.push(path);
        }
    }
    let problem = match found.len() {
        1 => return Ok(found.remove(0)),
        0 => "holds neither config.json nor a .gguf file: name a model's folder or file".into(),
        count => format!("holds {count} .gguf files: name one of them"),
    };
    Err(Error::format(folder, "folder", problem))
}

/// The tokenizer, if it belongs to the model.
fn fitting(tokenizer: Option<Tokenizer>, model: &Model) -> Result<Option<Tokenizer>> {
    if let Some(tokenizer) = &tokenizer {
        tokenizer.check_vocabulary(model.graph.vocabulary())?;
    }
    Ok(tokenizer)
}

/// The graph that hyper-parameters make, with the path in its errors.
fn graph(hyper: &Hyper, path: &Path) -> Result<edgeformer_core::Graph> {
    families::graph(hyper).map_err(|source| Error::Core { path: path.into(), source })
}
