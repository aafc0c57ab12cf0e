//! Tokenizers from files.

mod config;
mod decoder_file;
mod folder;
mod gguf;
mod json;
mod json_model;
mod merges;


