//! The AVX2 table: 256-bit vectors, FMA and F16C.
//!
//! Every function here is compiled for these features, which makes it unsafe to call from
//! anywhere else; the table's users hold the proof ([`Token`]) that the machine has them.

mod elementwise;
mod float;
mod kv;
mod math;
pub(super) mod packed;
mod panel;
mod quantized;
mod reduce;
mod unpack;
mod vector;

use edgeformer_core::Format;

use crate::kernels::matmul::MatmulFn;
use crate::kernels::{Isa, Kernels};

cpufeatures::new!(avx2_and_fma, "avx2", "fma");

/// This machine has AVX2, FMA and F16C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token(());

impl Token {
    /// For the tables, which only those can reach who have a proof.
    pub(super) const ASSUMED: Self = Self(());

    /// The proof, if this machine has them.
    pub fn detect() -> Option<Self> {
        // `cpufeatures` does not know F16C.
        let has_all = avx2_and_fma::get() && std::arch::is_x86_feature_detected!("f16c");
        has_all.then_some(Self(()))
    }
}

/// The table, for those who can run it.
pub fn table(_proof: Token) -> &'static Kernels {
    static KERNELS: Kernels = TABLE;
    &KERNELS
}

/// What it holds: the longer vectors' table begins with it.
pub(super) const TABLE: Kernels = Kernels {
    isa: Isa::Avx2(Token::ASSUMED),
    matmul,
    packed: packed::matmul,
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
        Format::F32 => Float(float::matmul::<float::F32>),
        Format::F16 => Float(float::matmul::<float::F16>),
        Format::BF16 => Float(float::matmul::<float::Bf16>),
        Format::Q8_0 => Quantized(matmul::<unpack::Q8_0>),
        Format::Q4_0 => Quantized(matmul::<unpack::Q4_0>),
        Format::Q4_1 => Quantized(matmul::<unpack::Q4_1>),
        Format::Q5_0 => Quantized(matmul::<unpack::Q5_0>),
        Format::Q5_1 => Quantized(matmul::<unpack::Q5_1>),
        Format::Q2K => Quantized(matmul::<unpack::Q2K>),
        Format::Q3K => Quantized(matmul::<unpack::Q3K>),
        Format::Q4K => Quantized(matmul::<unpack::Q4K>),
        Format::Q5K => Quantized(matmul::<unpack::Q5K>),
        Format::Q6K => Quantized(matmul::<unpack::Q6K>),
        Format::Iq4Nl => Quantized(matmul::<unpack::Iq4Nl>),
        Format::Iq4Xs => Quantized(matmul::<unpack::Iq4Xs>),
    }
}
