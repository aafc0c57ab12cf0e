//! The products of a block.

use std::arch::x86_64::*;

use super::codes::Codes;
use super::scales::{Scales, Scaling};
use crate::kernels::packed::{Excess, Token};

/// Parts of a block that have a scale of their own.
const fn parts<S: Scaling>() -> usize {
    if S::HALVES { 2 } else { 1 }
}

/// Adds the products of a block's codes with block `index` of `T` tokens to their lanes. `excess` is
/// that of the tokens from block 0 on, for formats with an offset.
///
/// Products of codes are integers; their sums are below 2^24 and so exact as floats.
///
/// # Safety
/// Every token has such a block, and `index` is below eight.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn add_block<S: Scaling, const OFFSET: i32, const T: usize>(
    codes: &Codes,
    scales: &Scales,
    tokens: &[Token; T],
    excess: &[Excess; T],
    index: usize,
    lanes: &mut [__m512; T],
) {
    let steps = 8 / parts::<S>();
    for part in 0..parts::<S>() {
        // SAFETY: the tokens have the block's codes.
        let products =
            unsafe { integers::<T>(&codes[part * steps..][..steps], part * steps, tokens, index) };
        for (token, lanes) in lanes.iter_mut().enumerate() {
            // SAFETY: the tokens have a scale of the block.
            let scale = _mm512_set1_ps(unsafe { tokens[token].scale(index) });
            let products = _mm512_cvtepi32_ps(products[token]);
            let centred = if OFFSET == 0 {
                _mm512_mul_ps(products, scale)
            } else {
                let excess = _mm512_set1_ps(excess[token].of(part, index));
                _mm512_fmsub_ps(products, scale, excess)
            };
            *lanes = _mm512_fmadd_ps(scales.halves[part], centred, *lanes);
        }
    }
    if S::MINIMA {
        for (lanes, token) in lanes.iter_mut().zip(tokens) {
            // SAFETY: the tokens have the sums of the block.
            let sum = _mm512_set1_ps(unsafe { token.sum(index) });
            *lanes = _mm512_fmadd_ps(scales.plus, sum, *lanes);
        }
    }
}

/// Sums of the products of some steps of four columns, from step `first` of the block on.
///
/// # Safety
/// Every token has codes of block `index`, with so many steps.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn integers<const T: usize>(
    codes: &[__m512i],
    first: usize,
    tokens: &[Token; T],
    index: usize,
) -> [__m512i; T] {
    let mut sums = [_mm512_setzero_si512(); T];
    for (step, &codes) in codes.iter().enumerate() {
        for (sums, token) in sums.iter_mut().zip(tokens) {
            // SAFETY: the token has the block.
            let x = unsafe { token.four_codes(index, first + step) };
            *sums = _mm512_dpbusd_epi32(*sums, codes, _mm512_set1_epi32(x));
        }
    }
    sums
}
