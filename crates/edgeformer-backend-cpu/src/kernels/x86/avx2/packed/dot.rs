//! The products of a block.

use std::arch::x86_64::*;

use super::codes::{Bits, Codes};
use super::scales::{Scales, Scaling};
use crate::kernels::packed::BLOCK;
use crate::kernels::{Q8Rows};

/// Activations of a token.
#[derive(Clone, Copy)]
pub(super) struct Token {
    codes: *const i8,
    scales: *const f32,
    sums: *const f32,
    /// Of the first and the last half of every block.
    of_halves: [*const f32; 2],
}

impl Token {
    /// No token.
    pub const NONE: Self = {
        let (codes, none) = (std::ptr::null(), std::ptr::null());
        Self { codes, scales: none, sums: none, of_halves: [none; 2] }
    };

    #[inline]
    pub fn new(x: Q8Rows<'_>, index: usize) -> Self {
        let row = x.row(index);
        Self {
            codes: row.codes.as_ptr(),
            scales: row.scales.as_ptr(),
            sums: row.sums.as_ptr(),
            of_halves: [row.low_sums.as_ptr(), row.high_sums.as_ptr()],
        }
    }

    /// The activations from block `index` on.
    ///
    /// # Safety
    /// The token has such a block, or it is the end of the row.
    #[inline]
    pub unsafe fn from_block(self, index: usize) -> Self {
        // SAFETY: rows of codes, of scales and of sums have so many blocks.
        unsafe {
            Self {
                codes: self.codes.add(index * BLOCK),
                scales: self.scales.add(index),
                sums: self.sums.add(index),
                of_halves: self.of_halves.map(|sums| sums.add(index)),
            }
        }
    }
}

/// Adds the products of a block's codes with block `index` of `T` tokens to their lanes.
///
/// Products of codes are integers, exact in 16 bits ([`Bits::ADDS`]) and then in 32; below 2^24
/// and so exact as floats.
///
/// # Safety
/// Every token has such a block.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn add_block<B: Bits, S: Scaling, const OFFSET: i32, const T: usize>(
    codes: &Codes,
    scales: &Scales,
    tokens: &[Token; T],
    index: usize,
    lanes: &mut [__m256; T],
) {
    let parts = if S::HALVES { 2 } else { 1 };
    let steps = 8 / parts;
    for part in 0..parts {
        // SAFETY: the tokens have the block's codes.
        let products = unsafe {
            integers::<B, T>(&codes[part * steps..][..steps], part * steps, tokens, index)
        };
        for ((lanes, token), products) in lanes.iter_mut().zip(tokens).zip(products) {
            // SAFETY: the tokens have scale and sums of the block.
            unsafe {
                let scale = _mm256_set1_ps(*token.scales.add(index));
                let products = _mm256_cvtepi32_ps(products);
                let centred = if OFFSET == 0 {
                    _mm256_mul_ps(products, scale)
                } else {
                    let sum = token.sum::<S>(part, index);
                    let excess = _mm256_mul_ps(sum, _mm256_set1_ps(OFFSET as f32));
                    _mm256_fmsub_ps(products, scale, excess)
                };
                *lanes = _mm256_fmadd_ps(scales.halves[part], centred, *lanes);
            }
        }
    }
    if S::MINIMA {
        for (lanes, token) in lanes.iter_mut().zip(tokens) {
            // SAFETY: the tokens have the sums of the block.
            let sum = unsafe { token.sum::<S>(0, index) };
            *lanes = _mm256_fmadd_ps(scales.plus, sum, *lanes);
        }
    }
}

impl Token {
    /// The sum of a block, or of a half of it where these have scales of their own.
    ///
    /// # Safety
    /// The token has such a block.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn sum<S: Scaling>(&self, part: usize, index: usize) -> __m256 {
        // SAFETY: rows of sums have so many blocks.
        unsafe {
            _mm256_set1_ps(match S::HALVES {
                true => *self.of_halves[part].add(index),
                false => *self.sums.add(index),
            })
        }
    }
}

/// Sums of the products of some steps of four columns, from step `first` of the block on.
///
/// # Safety
/// Every token has codes of block `index`, with so many steps.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn integers<B: Bits, const T: usize>(
    codes: &[__m256i],
    first: usize,
    tokens: &[Token; T],
    index: usize,
) -> [__m256i; T] {
    let ones = _mm256_set1_epi16(1);
    let mut sums = [_mm256_setzero_si256(); T];
    for (group, codes) in codes.chunks(B::ADDS).enumerate() {
        let mut pairs = [_mm256_setzero_si256(); T];
        for (step, &codes) in codes.iter().enumerate() {
            let column = index * BLOCK + 4 * (first + group * B::ADDS + step);
            let magnitudes = if B::SIGNED { _mm256_abs_epi8(codes) } else { codes };
            for (pairs, token) in pairs.iter_mut().zip(tokens) {
                // SAFETY: four codes are readable there; no alignment is needed.
                let x = unsafe { token.codes.add(column).cast::<i32>().read_unaligned() };
                let x = _mm256_set1_epi32(x);
                let x = if B::SIGNED { _mm256_sign_epi8(x, codes) } else { x };
                *pairs = _mm256_add_epi16(*pairs, _mm256_maddubs_epi16(magnitudes, x));
            }
        }
        for (sums, pairs) in sums.iter_mut().zip(pairs) {
            *sums = _mm256_add_epi32(*sums, _mm256_madd_epi16(pairs, ones));
        }
    }
    sums
}
