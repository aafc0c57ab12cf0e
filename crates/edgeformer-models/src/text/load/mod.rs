//! Tokenizers from files.

mod config;
mod decoder_file;
mod folder;
mod gguf;
mod json;
mod json_model;
mod merges;
mod template_file;

pub(super) use template_file::TemplateFile;
