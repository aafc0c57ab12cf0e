//! Makes small models of large ones.
//!
//! A model goes through here as a [`Checkpoint`](edgeformer_models::checkpoint::Checkpoint):
//! metadata and tensors as GGUF has them, a tensor at a time. What comes out is a checkpoint
//! again, in standard formats that every GGUF runtime reads.
#![forbid(unsafe_code)]

pub mod attention;
mod error;

pub use error::{Error, Result};
