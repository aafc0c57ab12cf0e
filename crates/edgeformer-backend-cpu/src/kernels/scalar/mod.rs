//! The scalar table: plain Rust that says what the kernels compute. Every machine has it.

pub(super) mod elementwise;
mod float;
pub(super) mod kv;
mod lanes;
pub(super) mod normal;
pub(super) mod quantized;
mod reduce;

use edgeformer_core::Format;
use edgeformer_core::quant::{Iq4Nl, Iq4Xs, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};

use super::matmul::MatmulFn;
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
    use MatmulFn::{Float, Quantized};
    use quantized::matmul;
    match format {
        Format::F32 => Float(float::matmul_f32),
        Format::F16 => Float(float::matmul_f16),
        Format::BF16 => Float(float::matmul_bf16),
        Format::Q8_0 => Quantized(matmul::<Q8_0, _, _, _>),
        Format::Q4_0 => Quantized(matmul::<Q4_0, _, _, _>),
        Format::Q4_1 => Quantized(matmul::<Q4_1, _, _, _>),
        Format::Q5_0 => Quantized(matmul::<Q5_0, _, _, _>),
        Format::Q5_1 => Quantized(matmul::<Q5_1, _, _, _>),
        Format::Q2K => Quantized(matmul::<Q2K, _, _, _>),
        Format::Q3K => Quantized(matmul::<Q3K, _, _, _>),
        Format::Q4K => Quantized(matmul::<Q4K, _, _, _>),
        Format::Q5K => Quantized(matmul::<Q5K, _, _, _>),
        Format::Q6K => Quantized(matmul::<Q6K, _, _, _>),
        Format::Iq4Nl => Quantized(matmul::<Iq4Nl, _, _, _>),
        Format::Iq4Xs => Quantized(matmul::<Iq4Xs, _, _, _>),
    }
}
