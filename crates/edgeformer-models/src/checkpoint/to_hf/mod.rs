//! The way back: a checkpoint as a Hugging Face folder.
//!
//! - `hyper`: what the folder's `config.json` must state
//! - `config`, `decoder`, `encoder`, `rope`: hyper-parameters to `config.json`
//! - `tensors`: weights under their Hugging Face names, in their layout
//! - `files`: everything else in the folder

mod config;
mod decoder;
mod encoder;
mod files;
mod hyper;
mod rope;
mod tensors;

use std::path::Path;

use serde_json::Value;

use super::{Checkpoint, LazyTensor, OutType};
use crate::atomic::write_folder_atomically;
use crate::gguf::Metadata;
use crate::json::Object;
use crate::safetensors::write_shards;
use crate::text::Tokenizer;
use crate::{Error, Result, families, hf_config};

pub(crate) use tensors::prefix as module_prefix;

/// A checkpoint as the folder will be.
pub struct HfFolder {
    files: Vec<(&'static str, Vec<u8>)>,
    tensors: Vec<LazyTensor>,
    checkpoint: Checkpoint,
}

impl Checkpoint {
    /// What a Hugging Face folder of this model holds: `config.json`, tensors, the tokenizer.
    ///
    /// Tensors come back as they were before [`Checkpoint::open`] made GGUF of them, bit for bit
    /// (for Gemma's norms see `docs/conversion.md`); quantized ones become f16. Another `outtype`
    /// is for all tensors.
    ///
    /// # Errors
    /// If `config.json` cannot state the model, or a tensor is missing.
    pub fn to_hf(&self, outtype: OutType) -> Result<HfFolder> {
        let wanted = match outtype.format() {
            Some(format) if !format.is_float() => {
                let problem = format!("{outtype} is no float format: choose f32, f16 or bf16");
                return Err(Error::format(&self.path, "outtype", problem));
            }
            wanted => wanted,
        };
        let metadata = self.header()?;
        let hyper = hyper::in_hf(self, &metadata)?;
        let first = if self.tensor(TABLE).is_some() { TABLE } else { "v.patch_embd.weight" };
        let dtypes = super::dtypes::Dtypes::of(self, first, wanted);
        let config = config::config(&hyper, &metadata, dtypes.main())?;
        let read = self.read_back(&config, &hyper)?;
        let graph = families::graph(&read)
            .map_err(|source| Error::Core { path: self.path.clone(), source })?;
        let mut files = vec![("config.json", pretty(&config))];
        files.extend(files::files(&read, &metadata, self)?);
        let tensors = tensors::tensors(self, &graph, &read, dtypes)?;
        Ok(HfFolder { files, tensors, checkpoint: self.clone() })
    }

    /// `tokenizer.json` and `tokenizer_config.json` of its tokenizer, `None` where it has none.
    ///
    /// # Errors
    /// If the keys are damaged, or the tokenizer is of a kind that is not written.
    pub fn tokenizer_files(&self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let metadata = self.header()?;
        let Some(tokenizer) = Tokenizer::from_metadata(&metadata)? else { return Ok(None) };
        let files = tokenizer.folder_files(&metadata, None)?;
        Ok(Some((pretty(&files.tokenizer), pretty(&files.config))))
    }

    /// The hyper-parameters that a configuration states, which must be the model's.
    fn read_back(
        &self,
        config: &Value,
        hyper: &crate::hyper::Hyper,
    ) -> Result<crate::hyper::Hyper> {
        let object = Object::parse(Path::new("config.json"), &config.to_string())?;
        let read = hf_config::hyper(&object)?;
        let Some((stated, found)) = super::from_hf::difference(hyper, &read) else {
            return Ok(read);
        };
        let problem = format!(
            "say `{stated}`, which config.json cannot state of {} models: it would become `{found}`",
            hyper.family().name()
        );
        Err(Error::format(&self.path, "metadata", problem))
    }
}

/// The tensor whose format stands for all.
const TABLE: &str = "token_embd.weight";

impl HfFolder {
    /// The tensors under their names in the folder.
    pub fn tensors(&self) -> &[LazyTensor] {
        &self.tensors
    }

    /// Writes the folder, a tensor at a time, in files of at most 5 GB. It appears under `path`
    /// when it is complete; a folder of a model that was there is replaced.
    ///
    /// `progress` hears of bytes written and of all of them, and may end it.
    ///
    /// # Errors
    /// If a tensor cannot be made, the disk fails, or `path` holds something else than a model.
    pub fn write(
        &self,
        path: &Path,
        progress: &mut dyn FnMut(u64, u64) -> std::io::Result<()>,
    ) -> Result<()> {
        write_folder_atomically(path, |folder| {
            for (name, bytes) in &self.files {
                let path = folder.join(name);
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent).map_err(|source| Error::io(parent, source))?;
                }
                std::fs::write(&path, bytes).map_err(|source| Error::io(&path, source))?;
            }
            write_shards(folder, &self.tensors, &|| self.checkpoint.release(), progress)
        })
    }
}

impl std::fmt::Debug for HfFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files: Vec<&str> = self.files.iter().map(|(name, _)| *name).collect();
        f.debug_struct("HfFolder").field("files", &files).field("tensors", &self.tensors).finish()
    }
}

/// JSON as transformers writes it: two spaces, a line end.
fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

/// A number as people write it: `1e-5` and not `9.99999974737875e-6`.
fn number(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// An id under `tokenizer.ggml.{name}_token_id`.
fn token_id(metadata: &Metadata, name: &str) -> Result<Option<u32>> {
    metadata.u32(&format!("tokenizer.ggml.{name}_token_id"))
}
