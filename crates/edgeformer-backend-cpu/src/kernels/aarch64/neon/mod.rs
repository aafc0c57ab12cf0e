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

use crate::kernels::matmul::{FloatMatmul, MatmulFn};
use crate::kernels::scalar::quantized::for_format;
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
    use float::{Bf16, F16, F32, matmul};
    let floats: [FloatMatmul; 3] = [matmul::<F32>, matmul::<F16>, matmul::<Bf16>];
    for_format::<packed::Long>(format, floats)
}
