//! The products of a block.

use std::arch::x86_64::*;

use super::codes::{Bits, Codes};
use super::products::Products;
use super::scales::{Scales, Scaling};
use crate::kernels::packed::{Excess, Token};

/// Parts of a block that have a scale of their own.
const fn parts<S: Scaling>() -> usize {
    if S::HALVES { 2 } else { 1 }
}

/// Adds the products of a block's codes, eight rows in each of `H` vectors, with block `index` of
/// `T` tokens to their lanes. `excess` is that of the tokens from block 0 on.
///
/// Sums of a block are below 2^24 and so exact as floats.
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
    lanes: &mut [[__m256; H]; T],
) {
    let steps = 8 / parts::<S>();
    for part in 0..parts::<S>() {
        // SAFETY: the tokens have the block's codes.
        let products =
            unsafe { B::Products::sums(codes, part * steps..(part + 1) * steps, tokens, index) };
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
