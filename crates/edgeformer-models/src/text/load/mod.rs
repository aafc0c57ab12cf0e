//! Tokenizers from files.

mod config;
mod decoder_file;
mod folder;
mod json;
mod json_model;
mod merges;

pub(super) use config::{Config, TemplateSource};
