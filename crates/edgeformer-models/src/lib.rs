//! Everything that is in a model's files.
#![deny(unsafe_code)]

mod error;

pub mod families;
pub mod gguf;
pub mod hyper;
pub mod safetensors;
pub mod text;

pub use error::{Error, Result};
