//! The NEON table: 128-bit vectors, which every 64-bit ARM has.
//!
//! Adding, multiplying and scaling rows, the Hadamard rotation and storing keys and values are the
//! scalar table's: what the compiler makes of them has the same vectors, or they run once a token.

mod elementwise;
mod float;
mod kv;
mod math;
pub(super) mod packed;
mod quantized;
mod reduce;
mod vector;

use edgeformer_core::Format;
use edgeformer_core::quant::{Iq4Nl, Iq4Xs, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};

use crate::kernels::matmul::MatmulFn;
use crate::kernels::{Isa, Kernels, scalar};

/// This machine is a 64-bit ARM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token(());

impl Token {
    /// What this module is compiled for has NEON.
    pub const ASSUMED: Self = Self(());
}

/// The table.
pub fn table(_proof: Token) -> &'static Kernels {
    static KERNELS: Kernels = TABLE;
    &KERNELS
}

/// What it holds: the tables of longer instructions begin with it.
pub(super) const TABLE: Kernels = Kernels {
    isa: Isa::Neon(Token::ASSUMED),
    matmul,
    packed: packed::matmul::<packed::Long, packed::Long>,
    quantize_row: quantized::quantize_row,
    axpy_f32: elementwise::axpy_f32,
    rms_norm: reduce::rms_norm,
    layer_norm: reduce::layer_norm,
    softmax: reduce::softmax,
    activate: elementwise::activate,
    soft_cap: elementwise::soft_cap,
    add: scalar::elementwise::add,
    multiply: scalar::elementwise::multiply,
    scale: scalar::elementwise::scale,
    kv: &kv::KERNELS,
};

fn matmul(format: Format) -> MatmulFn {
    use MatmulFn::{Float, Quantized};
    use quantized::matmul;
    match format {
        Format::F32 => Float(float::matmul::<float::F32>),
        Format::F16 => Float(float::matmul::<float::F16>),
        Format::BF16 => Float(float::matmul::<float::Bf16>),
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
