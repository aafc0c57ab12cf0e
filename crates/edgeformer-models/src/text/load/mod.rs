//! Tokenizers from files.

mod build;
mod config;
mod decoder_file;
mod folder;
mod gguf;
mod gguf_vocabulary;
mod json;
mod json_model;
mod marks;
mod merges;
mod patterns;
mod template_file;

pub(super) use config::{Config, TokenName};
pub(super) use template_file::TemplateFile;
