//! From scores to weights.

use std::arch::x86_64::*;

use super::super::math;
use super::super::vector::{self, load, store};

/// Vectors that are summed side by side.
const WIDE: usize = 4;

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn largest(x: &[f32]) -> f32 {
    let (chunks, tail) = x.as_chunks();
    let lowest = _mm256_set1_ps(f32::NEG_INFINITY);
    // `max` returns its second operand if one is NaN: the scalar table passes over NaN too.
    let largest = chunks.iter().fold(lowest, |max, x| _mm256_max_ps(load(x), max));
    tail.iter().copied().fold(vector::max(largest), f32::max)
}

/// Vector `i` goes to partial sum `i % WIDE`, whatever the length.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn exp_minus(x: &mut [f32], max: f32) -> f32 {
    let maxima = _mm256_set1_ps(max);
    let mut sums = [_mm256_setzero_ps(); WIDE];
    let (chunks, tail) = x.as_chunks_mut();
    let mut quads = chunks.chunks_exact_mut(WIDE);
    for quad in quads.by_ref() {
        for (x, sum) in quad.iter_mut().zip(&mut sums) {
            *sum = _mm256_add_ps(*sum, exp_of_difference(x, maxima));
        }
    }
    let rest = quads.into_remainder();
    for (x, sum) in rest.iter_mut().zip(&mut sums) {
        *sum = _mm256_add_ps(*sum, exp_of_difference(x, maxima));
    }
    if !tail.is_empty() {
        // Of minus infinity nothing is left that could be added.
        let mut last = [f32::NEG_INFINITY; vector::LANES];
        last[..tail.len()].copy_from_slice(tail);
        let sum = &mut sums[rest.len()];
        *sum = _mm256_add_ps(*sum, exp_of_difference(&mut last, maxima));
        tail.copy_from_slice(&last[..tail.len()]);
    }
    let [a, b, c, d] = sums;
    vector::sum(_mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d)))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn exp_of_difference(x: &mut [f32; vector::LANES], max: __m256) -> __m256 {
    let exp = math::exp(_mm256_sub_ps(load(x), max));
    store(exp, x);
    exp
}
