//! GGUF: one file with metadata and tensors, memory-mapped.
//!
//! The layout is that of the specification in ggml's `docs/gguf.md`, versions 2 and 3,
//! little-endian. A file is validated as a whole when it is opened, and is its own index after
//! that: this module keeps where each entry begins and decodes it when it is asked for, so that
//! no count or length in a file can make it allocate.

mod array;
mod cursor;
mod file;
mod ggml;
mod metadata;
mod read;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub use array::{MetadataArray, Values};
pub use file::{Gguf, TensorInfo};
pub use metadata::{Metadata, Strings};
pub use value::{MetadataValue, ValueType};
pub use write::GgufWriter;

/// The first four bytes of a file.
const MAGIC: [u8; 4] = *b"GGUF";
/// The metadata key that sets the alignment of tensors.
const ALIGNMENT_KEY: &str = "general.alignment";
/// The alignment of tensors where the metadata set none, in bytes.
pub const DEFAULT_ALIGNMENT: usize = 32;
/// Bytes of the longest key the specification allows.
const MAX_KEY: usize = 65535;
/// Bytes of the longest tensor name the specification allows.
const MAX_TENSOR_NAME: usize = 64;
/// Dimensions of a tensor.
const MAX_DIMENSIONS: usize = 4;
/// How deep arrays may lie in arrays. Known files have none in another.
const MAX_ARRAY_DEPTH: usize = 4;
