//! The NEON table: 128-bit vectors, which every 64-bit ARM has.
//!
//! Adding, multiplying and scaling rows are the scalar table's: the compiler makes the same vectors
//! of them. The tables of machines that multiply bytes better are this one with another
//! [`DotProduct`] and [`Multiply`].

mod dot_product;
mod elementwise;
mod float;
mod kv;
mod math;
pub(super) mod packed;
mod quantized;
mod reduce;
mod vector;

use edgeformer_core::Format;

pub(super) use self::dot_product::DotProduct;
use self::packed::{Long, Multiply};
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
    static TABLE: Kernels = kernels::<Long, Long>(Isa::Neon(Token::ASSUMED));
    &TABLE
}

/// The table of an instruction set that multiplies codes by `One`, and panels with many tokens by
/// `Many`.
pub(super) const fn kernels<One: Multiply + DotProduct, Many: Multiply>(isa: Isa) -> Kernels {
    Kernels {
        isa,
        matmul: matmul::<One>,
        packed: packed::matmul::<One, Many>,
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
        kv: const { &kv::kernels::<One>() },
    }
}

fn matmul<P: DotProduct>(format: Format) -> MatmulFn {
    use float::{Bf16, F16, F32, matmul};
    let floats: [FloatMatmul; 3] = [matmul::<F32>, matmul::<F16>, matmul::<Bf16>];
    for_format::<P>(format, floats)
}
