//! Safetensors: tensors in one file, or in several with an index, memory-mapped.
//!
//! A file is the length of its header (u64, little-endian), the header (JSON: name to dtype,
//! shape and place), and the data, which the tensors must cover without gaps. The header is
//! parsed here rather than by the `safetensors` crate, whose map silently drops a name that
//! comes twice and whose errors name no place.

mod dtype;
mod folder;
mod header;
mod index;
mod json;
mod shards;
#[cfg(test)]
mod tests;
mod write;

pub use dtype::Dtype;
pub use folder::{Integers, Safetensors, TensorInfo};
pub(crate) use shards::{write_for_torch, write_shards};
pub use write::{write_safetensors, write_safetensors_to};

/// The file of a folder that is not sharded.
const SINGLE_FILE: &str = "model.safetensors";
/// The file of a folder that says which shard holds which tensor.
const INDEX_FILE: &str = "model.safetensors.index.json";
/// Bytes of the longest header: the limit of the format's own library.
const MAX_HEADER: usize = 100_000_000;
/// Dimensions of a tensor. Files of transformers have at most 5.
const MAX_DIMENSIONS: usize = 8;
/// Bytes of a tensor's name.
const MAX_NAME: usize = 1024;
