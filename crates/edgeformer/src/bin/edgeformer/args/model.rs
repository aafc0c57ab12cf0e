use std::path::{Path, PathBuf};

use clap::Args;
use edgeformer::config::{AdapterSetting, ByteSize, Sources};
use edgeformer::{CacheFormat, Config};
use serde::Serialize;

use super::values::{adapter, cache_format, is_false, negated, size};
use crate::failure::Failure;

/// Which model, and how it is run.
#[derive(Debug, Default, Args, Serialize)]
pub struct ModelArgs {
    /// A GGUF file or a Hugging Face folder [default: the embedded model]
    #[arg(short, long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// A low-rank adapter, and what its scale is multiplied with; may be repeated
    #[arg(long, value_name = "PATH[:SCALE]", value_parser = adapter)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adapter: Vec<AdapterSetting>,
    /// `auto`, a backend of `edgeformer devices`, or BACKEND/DEVICE
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// A shared library with another backend, by its absolute path; may be repeated
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plugin: Vec<PathBuf>,
    /// SHA-256 that plugins may have: with any, all others are refused; may be repeated
    #[arg(long, value_name = "SHA256")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plugin_digest: Vec<String>,
    /// Threads that compute [default: all cores]
    #[arg(short, long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Threads that read prompts [default: as --threads]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads_batch: Option<usize>,
    /// Instruction set of the CPU backend [default: the best]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isa: Option<String>,
    /// Use weights as the file holds them: slower, and nothing is packed at start
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    pub no_repack: bool,
    /// File of packed weights [default: the one of edgeformer pack beside the model]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packed_file: Option<PathBuf>,
    /// Pack weights at start, whatever file of them is there
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    pub no_packed_file: bool,
    /// Tokens of context [default: what the model was trained on, at most 4096]
    #[arg(short, long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctx_size: Option<usize>,
    /// Tokens of a chunk in which prompts are processed [default: 512, with latent
    /// attention 1024, less where memory is short]
    #[arg(long, visible_alias = "chunk", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ubatch_size: Option<usize>,
    /// Format of cached keys: f32, f16, q8_0, q4_0, q4_0h [default: f16; f32 for logits]
    #[arg(long, visible_alias = "ctk", value_name = "FORMAT", value_parser = cache_format)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_type_k: Option<CacheFormat>,
    /// Format of cached values: f32, f16, q8_0, q4_0 [default: f16; f32 for logits]
    #[arg(long, visible_alias = "ctv", value_name = "FORMAT", value_parser = cache_format)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_type_v: Option<CacheFormat>,
    /// Tokens of a cache page [default: 64]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_size: Option<usize>,
    /// Bytes that may be resident, such as 700MiB [default: what the system leaves]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_budget: Option<ByteSize>,
    /// Ignore what edgeformer tune has found for this machine and model
    #[arg(long)]
    #[serde(rename = "profile", skip_serializing_if = "is_false", serialize_with = "negated")]
    pub no_profile: bool,
    /// A settings file [default: edgeformer.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// No progress and no statistics
    #[arg(short, long)]
    #[serde(skip_serializing_if = "is_false")]
    pub quiet: bool,
}

impl ModelArgs {
    /// Settings of a command that has no others.
    pub fn config(&self) -> Result<Config, Failure> {
        #[derive(Serialize)]
        struct Nothing {}
        self.config_with(&Nothing {})
    }

    /// Settings of a command that may name its model without `--model`.
    pub fn config_for(&self, source: Option<&Path>) -> Result<Config, Failure> {
        let config = self.config()?;
        match (source, &self.model) {
            (Some(_), Some(_)) => {
                Err(Failure::Usage("MODEL and --model name two models: keep one".into()))
            }
            (Some(source), None) => Ok(Config { model: Some(source.to_owned()), ..config }),
            (None, _) => Ok(config),
        }
    }

    /// Settings of a command that works on a model's own weights.
    pub fn config_without_adapter(&self, source: Option<&Path>) -> Result<Config, Failure> {
        let config = self.config_for(source)?;
        match config.adapter.as_slice() {
            [] => Ok(config),
            [adapter, ..] => Err(Failure::Usage(format!(
                "adapter {}: this works on a model's own weights: edgeformer merge makes such a model first (feature `train`)",
                adapter.path.display()
            ))),
        }
    }

    /// Settings, with those of `more`, and the weaker sources included.
    pub fn config_with<T: Serialize>(&self, more: &T) -> Result<Config, Failure> {
        #[derive(Serialize)]
        struct Overrides<'a, T> {
            #[serde(flatten)]
            model: &'a ModelArgs,
            #[serde(flatten)]
            more: &'a T,
        }
        let overrides = Overrides { model: self, more };
        let sources = Sources { file: self.config.as_deref(), environment: true, overrides };
        Config::load(&sources).map_err(|error| Failure::Usage(error.to_string()))
    }
}
