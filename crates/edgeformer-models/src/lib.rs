//! Everything that is in a model's files.
#![deny(unsafe_code)]

mod error;
#[allow(unsafe_code, reason = "a memory map is unsafe by nature; nothing else in this crate is")]
mod map;

pub mod atomic;
pub mod families;
pub mod gguf;
pub mod hyper;
pub mod safetensors;
pub mod text;

pub use error::{Error, Result};
