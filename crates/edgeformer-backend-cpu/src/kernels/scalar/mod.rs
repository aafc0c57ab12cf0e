//! The scalar table: plain Rust that says what the kernels compute. Every machine has it.

pub(super) mod elementwise;
mod float;
pub(super) mod kv;
mod lanes;
pub(super) mod normal;
pub(super) mod quantized;
pub(super) mod reduce;

use edgeformer_core::Format;

use super::matmul::{FloatMatmul, MatmulFn};
use super::{Isa, Kernels};

/// Every machine can run plain Rust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token;

/// The table.
pub(super) static TABLE: Kernels = Kernels {
    isa: Isa::Scalar(Token),
    matmul,
    packed: |_| None,
    quantize_row: quantized::quantize_row,
    axpy_f32: elementwise::axpy_f32,
    rms_norm: reduce::rms_norm,
    layer_norm: reduce::layer_norm,
    softmax: reduce::softmax,
    activate: elementwise::activate,
    soft_cap: elementwise::soft_cap,
    add: elementwise::add,
    multiply: elementwise::multiply,
    scale: elementwise::scale,
    kv: &kv::KERNELS,
};

fn matmul(format: Format) -> MatmulFn {
    let floats: [FloatMatmul; 3] = [float::matmul_f32, float::matmul_f16, float::matmul_bf16];
    quantized::for_format::<quantized::Plain>(format, floats)
}
