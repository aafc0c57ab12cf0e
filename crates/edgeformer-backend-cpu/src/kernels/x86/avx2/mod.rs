//! The AVX2 table: 256-bit vectors, FMA and F16C.

use crate::kernels::{Isa, Kernels};

cpufeatures::new!(avx2_and_fma, "avx2", "fma");

/// This machine has AVX2, FMA and F16C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token(());

impl Token {
    /// The proof, if this machine has them.
    pub fn detect() -> Option<Self> {
        // `cpufeatures` does not know F16C.
        let has_all = avx2_and_fma::get() && std::arch::is_x86_feature_detected!("f16c");
        has_all.then_some(Self(()))
    }
}

/// The table, for those who can run it.
pub fn table(_proof: Token) -> &'static Kernels {
    &TABLE
}

static TABLE: Kernels = Kernels { isa: Isa::Avx2(Token(())), ..crate::kernels::scalar::TABLE };
