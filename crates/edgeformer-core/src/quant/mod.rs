//! Quantization formats: GGUF's, byte for byte.
//!
//! A [`Format`] knows how many elements a block has, how many bytes it takes, how to quantize
//! and dequantize it, and what activations become when they are multiplied with it.
//!
//! Behind it stands one type a format, a [`Block`]: what its bytes mean, as small integer codes
//! in groups that share a scale and a minimum. Kernels are specified in these terms.

mod bits;
mod block;
mod float;
mod format;
mod iq4;
mod k;
mod q4_0;
mod q4_1;
mod q5_0;
mod q5_1;
mod q8_0;

pub use block::{Block, Group, Shared};
pub use format::{ActivationFormat, Format};
pub use iq4::{CODE_BOOK, Iq4Nl, Iq4Xs, nearest_code};
pub use k::{Q2K, Q3K, Q4K, Q5K, Q6K};
pub use q4_0::Q4_0;
pub use q4_1::Q4_1;
pub use q5_0::Q5_0;
pub use q5_1::Q5_1;
pub use q8_0::Q8_0;

#[cfg(test)]
mod tests;
