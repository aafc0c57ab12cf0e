//! Everything that is in a model's files.
#![deny(unsafe_code)]

mod error;
mod gguf_model;
mod hf_config;
mod json;
#[allow(unsafe_code, reason = "a memory map is unsafe by nature; nothing else in this crate is")]
mod map;
mod open;
mod pooling;

pub mod adapter;
pub mod atomic;
pub mod checkpoint;
pub mod classifier;
pub mod families;
pub mod generation;
pub mod gguf;
pub mod hyper;
pub mod initial;
pub mod preprocessor;
pub mod safetensors;
pub mod text;

pub use error::{Error, Result};
pub use map::map_weights;
pub use open::{
    ModelFile, OpenOptions, Source, SourceKind, TensorLine, open, open_gguf_bytes, open_with,
};
