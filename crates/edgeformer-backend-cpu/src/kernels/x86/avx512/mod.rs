//! The AVX-512 table: 512-bit vectors and VNNI for matrix products. Everything else is the AVX2
//! table's: it is bound by memory, or gains nothing from longer vectors.

mod packed;

use super::avx2;
use crate::kernels::{Isa, Kernels};

/// This machine has AVX-512 F, BW and VNNI, and what the AVX2 table needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token(avx2::Token);

impl Token {
    /// The proof, if this machine has them.
    pub fn detect() -> Option<Self> {
        let has_all = std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512vnni");
        avx2::Token::detect().filter(|_| has_all).map(Self)
    }
}

/// The table, for those who can run it.
pub fn table(_proof: Token) -> &'static Kernels {
    &TABLE
}

static TABLE: Kernels = Kernels {
    isa: Isa::Avx512(Token(avx2::Token::ASSUMED)),
    packed: packed::matmul,
    ..avx2::TABLE
};
