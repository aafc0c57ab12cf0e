//! The table for ARM machines that multiply matrices of bytes (FEAT_I8MM): the table of
//! FEAT_DotProd with other products of panels with many tokens. A single token has no use for a
//! second column. Their sums are the same integers.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::dotprod::{self, Dot};
use super::neon;
use super::neon::packed::{Bits, Multiply};
use crate::kernels::{Isa, Kernels};

/// This machine has FEAT_I8MM, FEAT_DotProd and what the NEON table needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token(dotprod::Token);

impl Token {
    /// The proof, if this machine has them.
    pub fn detect() -> Option<Self> {
        dotprod::Token::detect().filter(|_| is_aarch64_feature_detected!("i8mm")).map(Self)
    }
}

/// The table, for those who can run it.
pub fn table(_proof: Token) -> &'static Kernels {
    &TABLE
}

static TABLE: Kernels = neon::kernels::<Dot, Matrix>(Isa::I8mm(Token(dotprod::Token::ASSUMED)));

/// Products by `smmla`: eight columns of two rows with eight columns of two tokens.
struct Matrix;

impl Multiply for Matrix {
    const TILE: usize = 4;

    /// Eight columns of the first two rows, then of the other two; twice.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn arrange([a, b, c, d]: [int8x16_t; 4]) -> [int8x16_t; 4] {
        let (a, b) = (vreinterpretq_s32_s8(a), vreinterpretq_s32_s8(b));
        let (c, d) = (vreinterpretq_s32_s8(c), vreinterpretq_s32_s8(d));
        [
            vreinterpretq_s8_s32(vzip1q_s32(a, b)),
            vreinterpretq_s8_s32(vzip2q_s32(a, b)),
            vreinterpretq_s8_s32(vzip1q_s32(c, d)),
            vreinterpretq_s8_s32(vzip2q_s32(c, d)),
        ]
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn sums<B: Bits, const N: usize, const T: usize>(
        codes: &[[int8x16_t; 4]; N],
        x: &[[int8x16_t; N]; T],
    ) -> [int32x4_t; T] {
        let mut sums = [vdupq_n_s32(0); T];
        for token in (0..T).step_by(2) {
            // A last token without a neighbour is its own: its second sums are not kept.
            let neighbour = (token + 1).min(T - 1);
            let (mut low, mut high) = (vdupq_n_s32(0), vdupq_n_s32(0));
            for (half, codes) in codes.iter().enumerate() {
                let a = vreinterpretq_s64_s8(x[token][half]);
                let b = vreinterpretq_s64_s8(x[neighbour][half]);
                let x = [
                    vreinterpretq_s8_s64(vzip1q_s64(a, b)),
                    vreinterpretq_s8_s64(vzip2q_s64(a, b)),
                ];
                for (rows, x) in codes.as_chunks::<2>().0.iter().zip(x) {
                    // SAFETY: the machine has the instruction, the caller says.
                    unsafe {
                        low = smmla(low, rows[0], x);
                        high = smmla(high, rows[1], x);
                    }
                }
            }
            // Of each row the first token's sum, then the second's.
            sums[token] = vuzp1q_s32(low, high);
            if neighbour != token {
                sums[neighbour] = vuzp2q_s32(low, high);
            }
        }
        sums
    }
}

/// Adds the products of two rows of eight bytes in `a` with two in `b`, row by row of `a`.
/// (`vmmlaq_s32`, which stable Rust does not have.)
///
/// # Safety
/// The machine has FEAT_I8MM.
#[inline(always)]
unsafe fn smmla(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the machine has the instruction, which only computes.
    unsafe {
        asm!(
            ".arch_extension i8mm",
            "smmla {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}
