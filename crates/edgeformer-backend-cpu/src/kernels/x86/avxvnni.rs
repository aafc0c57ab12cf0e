//! The AVX-VNNI table, for machines with VNNI but without AVX-512: the products of panels are the
//! AVX2 table's, by another instruction. Everything else is the AVX2 table's.

use super::avx2;
use crate::kernels::{Isa, Kernels};

/// This machine has AVX-VNNI, and what the AVX2 table needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token(avx2::Token);

impl Token {
    /// The proof, if this machine has them.
    pub fn detect() -> Option<Self> {
        let has_it = std::arch::is_x86_feature_detected!("avxvnni");
        avx2::Token::detect().filter(|_| has_it).map(Self)
    }
}

/// The table, for those who can run it.
pub fn table(_proof: Token) -> &'static Kernels {
    &TABLE
}

static TABLE: Kernels = Kernels {
    isa: Isa::AvxVnni(Token(avx2::Token::ASSUMED)),
    packed: avx2::packed::matmul_vnni,
    ..avx2::TABLE
};

/// The same for machines without the instruction, which is done by others: for tests of all the
/// rest.
#[cfg(test)]
pub(in crate::kernels) fn emulated(_proof: avx2::Token) -> &'static Kernels {
    static EMULATED: Kernels = Kernels { packed: avx2::packed::matmul_emulated, ..avx2::TABLE };
    &EMULATED
}
