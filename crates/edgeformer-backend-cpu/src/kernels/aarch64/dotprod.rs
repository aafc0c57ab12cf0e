//! The table for ARM machines that multiply four pairs of bytes in one instruction (FEAT_DotProd):
//! the NEON table with other products of bytes.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::neon;
use super::neon::DotProduct;
use super::neon::packed::{Bits, Multiply};
use crate::kernels::{Isa, Kernels};

/// This machine has FEAT_DotProd, and what the NEON table needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token(neon::Token);

impl Token {
    /// For the tables, which only those can reach who have a proof.
    pub(super) const ASSUMED: Self = Self(neon::Token::ASSUMED);

    /// The proof, if this machine has it.
    pub fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("dotprod").then_some(Self::ASSUMED)
    }
}

/// The table, for those who can run it.
pub fn table(_proof: Token) -> &'static Kernels {
    &TABLE
}

static TABLE: Kernels = neon::kernels::<Dot, Dot>(Isa::Dotprod(Token::ASSUMED));

/// Products by `sdot`, which adds those of four neighbouring columns to a lane.
pub(super) struct Dot;

impl Multiply for Dot {
    const TILE: usize = 4;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn sums<B: Bits, const N: usize, const T: usize>(
        codes: &[[int8x16_t; 4]; N],
        x: &[[int8x16_t; N]; T],
    ) -> [int32x4_t; T] {
        let mut sums = [vdupq_n_s32(0); T];
        for (half, codes) in codes.iter().enumerate() {
            // SAFETY: the machine has the instruction, the caller says.
            unsafe {
                add::<0, N, T>(codes, x, half, &mut sums);
                add::<1, N, T>(codes, x, half, &mut sums);
                add::<2, N, T>(codes, x, half, &mut sums);
                add::<3, N, T>(codes, x, half, &mut sums);
            }
        }
        sums
    }
}

impl DotProduct for Dot {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn add(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
        // `vdotq_s32`, which stable Rust does not have.
        // SAFETY: the machine has the instruction, which only computes.
        unsafe {
            asm!(
                ".arch_extension dotprod",
                "sdot {sums:v}.4s, {a:v}.16b, {b:v}.16b",
                sums = inout(vreg) sums,
                a = in(vreg) a,
                b = in(vreg) b,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        sums
    }
}

/// Adds the products of step `STEP` of half `half`.
///
/// # Safety
/// The machine has FEAT_DotProd.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn add<const STEP: i32, const N: usize, const T: usize>(
    codes: &[int8x16_t; 4],
    x: &[[int8x16_t; N]; T],
    half: usize,
    sums: &mut [int32x4_t; T],
) {
    for (sum, x) in sums.iter_mut().zip(x) {
        // SAFETY: the machine has the instruction, which only computes.
        *sum = unsafe { sdot::<STEP>(*sum, codes[STEP as usize], x[half]) };
    }
}

/// Adds the sums of the products of four bytes of `a` with the four bytes of `b` in lane `LANE`.
/// (`vdotq_laneq_s32`, which stable Rust does not have.)
///
/// # Safety
/// The machine has FEAT_DotProd.
#[inline(always)]
unsafe fn sdot<const LANE: i32>(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the machine has the instruction, which only computes.
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {sum:v}.4s, {a:v}.16b, {b:v}.4b[{lane}]",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}
