//! The products of a block.

use std::arch::x86_64::*;
use std::ops::Range;

use super::codes::{Bits, Codes};
use super::scales::{Scales, Scaling};
use crate::kernels::packed::{Excess, Token};

/// Ones that the compiler does not know: it would load them from memory time and again, which the
/// loop has no room for.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn ones() -> __m256i {
    std::hint::black_box(_mm256_set1_epi16(1))
}

/// Parts of a block that have a scale of their own.
const fn parts<S: Scaling>() -> usize {
    if S::HALVES { 2 } else { 1 }
}

/// Adds the products of a block's codes, eight rows in each of `H` vectors, with block `index` of
/// `T` tokens to their lanes. `excess` is that of the tokens from block 0 on.
///
/// `ones` are those of [`ones`]. Products of codes are integers, exact in 16 bits ([`Bits::ADDS`])
/// and then in 32; below 2^24 and so exact as floats.
///
/// # Safety
/// Every token has such a block, and `index` is below eight.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn add_block<
    B: Bits,
    S: Scaling,
    const OFFSET: i32,
    const H: usize,
    const T: usize,
>(
    codes: &[Codes; H],
    scales: &[Scales; H],
    tokens: &[Token; T],
    excess: &[Excess; T],
    index: usize,
    ones: __m256i,
    lanes: &mut [[__m256; H]; T],
) {
    let steps = 8 / parts::<S>();
    for part in 0..parts::<S>() {
        // SAFETY: the tokens have the block's codes.
        let products = unsafe {
            integers::<B, H, T>(codes, part * steps..(part + 1) * steps, tokens, index, ones)
        };
        for (token, lanes) in lanes.iter_mut().enumerate() {
            // SAFETY: the tokens have a scale of the block.
            let scale = _mm256_set1_ps(unsafe { tokens[token].scale(index) });
            for (half, lanes) in lanes.iter_mut().enumerate() {
                let products = _mm256_cvtepi32_ps(products[token][half]);
                let centred = if OFFSET == 0 {
                    _mm256_mul_ps(products, scale)
                } else {
                    let excess = _mm256_set1_ps(excess[token].of(part, index));
                    _mm256_fmsub_ps(products, scale, excess)
                };
                *lanes = _mm256_fmadd_ps(scales[half].halves[part], centred, *lanes);
            }
        }
    }
    if S::MINIMA {
        for (lanes, token) in lanes.iter_mut().zip(tokens) {
            // SAFETY: the tokens have the sums of the block.
            let sum = _mm256_set1_ps(unsafe { token.sum(index) });
            for (lanes, scales) in lanes.iter_mut().zip(scales) {
                *lanes = _mm256_fmadd_ps(scales.plus, sum, *lanes);
            }
        }
    }
}

/// Sums of the products of some steps of four columns.
///
/// # Safety
/// Every token has block `index`, and the steps are below eight.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn integers<B: Bits, const H: usize, const T: usize>(
    codes: &[Codes; H],
    steps: Range<usize>,
    tokens: &[Token; T],
    index: usize,
    ones: __m256i,
) -> [[__m256i; H]; T] {
    let mut sums = [[_mm256_setzero_si256(); H]; T];
    for first in steps.step_by(B::ADDS) {
        let mut pairs = [[_mm256_setzero_si256(); H]; T];
        for step in first..first + B::ADDS {
            // SAFETY: the tokens have the block.
            let x = tokens.each_ref().map(|token| unsafe { token.four_codes(index, step) });
            let x = x.map(|x| _mm256_set1_epi32(x));
            for half in 0..H {
                let codes = codes[half][step];
                for (pairs, &x) in pairs.iter_mut().zip(&x) {
                    let products = multiply::<B>(codes, x);
                    pairs[half] = in_order(_mm256_add_epi16(pairs[half], products));
                }
            }
        }
        for (sums, pairs) in sums.as_flattened_mut().iter_mut().zip(pairs.as_flattened()) {
            *sums = _mm256_add_epi32(*sums, _mm256_madd_epi16(*pairs, ones));
        }
    }
    sums
}

/// Sums of two products, sixteen of them.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply<B: Bits>(codes: __m256i, x: __m256i) -> __m256i {
    if B::SIGNED {
        // One factor must be unsigned: the other takes over its sign.
        return _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(x, codes));
    }
    _mm256_maddubs_epi16(codes, x)
}

/// The same, hidden from the compiler and at this place: it would turn chains of additions into
/// trees, and go through all codes once for each token; both need more registers than there are
/// (on Zen 3, Q4_0 tiles of 384 tokens ran at 71 instead of 114 Gop/s).
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn in_order(mut value: __m256i) -> __m256i {
    // SAFETY: no instruction at all. It is not `pure`: what is, may move.
    unsafe {
        std::arch::asm!(
            "/* {0} */", inout(ymm_reg) value, options(nomem, nostack, preserves_flags)
        );
    }
    value
}
