//! EdgeFormer's graphs on [candle](https://github.com/huggingface/candle)'s tensors.
//!
//! | module | |
//! |---|---|
//! | `backend`, `program`, `session` | what `edgeformer-core` asks of a backend |
//! | `devices` | the CPU; CUDA and Metal where their features are compiled in |
//! | `weights` | a model's weights on a device: floats, or candle's quantized tensors |
//! | `forward` | every op, composed of candle's differentiable ones |
//! | `gemm` | products of floats, on the threads of the pool that asks |
//! | [`vectors`] | loops in the vectors that the processor has |
//! | `cache` | keys and values of each sequence, on the device or moved to the host |
//!
//! [`forward()`] is the same evaluation without a cache, for training: weights that are
//! [`Var`](candle_core::Var)s get gradients.
#![deny(unsafe_code)]

mod backend;
mod cache;
mod devices;
mod error;
mod forward;
mod gemm;
mod program;
mod session;
pub mod vectors;
mod weights;

pub use backend::CandleBackend;
pub use error::CandleError;
pub use forward::{
    Checkpointed, GradientBytes, GradientLoad, forward, forward_rows, gradient_bytes,
};
pub use weights::{DeviceWeights, Dropout, MatrixGradients, learning_bytes};
