//! The scalar table: plain Rust that says what the kernels compute. Every machine has it.

mod blocks;
mod elementwise;
mod float;
mod k_blocks;
mod lanes;
mod normal;
mod quantized;
mod reduce;

use edgeformer_core::Format;

use super::matmul::MatmulFn;
use super::{Isa, Kernels};

pub(super) use blocks::CODE_BOOK;
pub(super) use elementwise::{add, multiply, scale};
pub(super) use k_blocks::{Scales6, scales_q3_k};
pub(super) use normal::MILLS;

/// Every machine can run plain Rust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token;

/// The table.
pub(super) static TABLE: Kernels = Kernels {
    isa: Isa::Scalar(Token),
    matmul,
    quantize_row: quantized::quantize_row,
    dot_f32: reduce::dot_f32,
    dot_f16: reduce::dot_f16,
    axpy_f32: elementwise::axpy_f32,
    axpy_f16: elementwise::axpy_f16,
    rms_norm: reduce::rms_norm,
    layer_norm: reduce::layer_norm,
    softmax: reduce::softmax,
    activate: elementwise::activate,
    soft_cap: elementwise::soft_cap,
    add: elementwise::add,
    multiply: elementwise::multiply,
    scale: elementwise::scale,
    narrow: elementwise::narrow,
    widen: elementwise::widen,
};

fn matmul(format: Format) -> MatmulFn {
    use MatmulFn::{Float, Quantized};
    match format {
        Format::F32 => Float(float::matmul_f32),
        Format::F16 => Float(float::matmul_f16),
        Format::BF16 => Float(float::matmul_bf16),
        Format::Q8_0 => Quantized(quantized::matmul::<blocks::Q8_0>),
        Format::Q4_0 => Quantized(quantized::matmul::<blocks::Q4_0>),
        Format::Q4_1 => Quantized(quantized::matmul::<blocks::Q4_1>),
        Format::Q5_0 => Quantized(quantized::matmul::<blocks::Q5_0>),
        Format::Q5_1 => Quantized(quantized::matmul::<blocks::Q5_1>),
        Format::Q2K => Quantized(quantized::matmul::<k_blocks::Q2K>),
        Format::Q3K => Quantized(quantized::matmul::<k_blocks::Q3K>),
        Format::Q4K => Quantized(quantized::matmul::<k_blocks::Q4K>),
        Format::Q5K => Quantized(quantized::matmul::<k_blocks::Q5K>),
        Format::Q6K => Quantized(quantized::matmul::<k_blocks::Q6K>),
        Format::Iq4Nl => Quantized(quantized::matmul::<blocks::Iq4Nl>),
        Format::Iq4Xs => Quantized(quantized::matmul::<k_blocks::Iq4Xs>),
    }
}
