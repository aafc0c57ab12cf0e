//! Ops in one pass each way, on the processor in f32: candle's composed ones walk through memory many
//! times, keep every step of it for the gradient, and mostly use one thread.
//!
//! Each is compared with its composition, forward and backward.

mod attention;
mod norm;
mod rope;
mod silu;
mod slice;

use candle_core::{DType, Tensor};

pub(super) use attention::{Span, WholeAttention};
pub(super) use norm::RmsNorm;
pub(super) use rope::Turning;
pub(super) use silu::Silu;

/// Whether these ops take a tensor.
pub(super) fn serves(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// Rows that one task takes.
const ROWS: usize = 32;
