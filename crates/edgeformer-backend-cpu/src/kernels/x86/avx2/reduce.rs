//! Kernels that need a whole row for every element of their result.

use std::arch::x86_64::*;

use super::math;
use super::vector::{self, LANES, load, map, padded};
use crate::kernels::Affine;
use crate::kernels::scalar::reduce::normalise;

/// Vectors that are summed side by side: enough to keep two FMA units busy.
const WIDE: usize = 4;

/// `term(sum, i)` adds the eight products from element `8 i` to `sum`. Vector `i` goes to partial
/// sum `i % WIDE`, whatever the length.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn accumulate(vectors: usize, term: impl Fn(__m256, usize) -> __m256) -> [__m256; WIDE] {
    let mut sums = [_mm256_setzero_ps(); WIDE];
    let whole = vectors / WIDE * WIDE;
    for start in (0..whole).step_by(WIDE) {
        for (offset, sum) in sums.iter_mut().enumerate() {
            *sum = term(*sum, start + offset);
        }
    }
    for (index, sum) in (whole..vectors).zip(&mut sums) {
        *sum = term(*sum, index);
    }
    sums
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn total([a, b, c, d]: [__m256; WIDE]) -> f32 {
    vector::sum(_mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d)))
}

/// The sum of a function of every element that maps zero (the padding) to zero.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sum_of(x: &[f32], function: impl Fn(__m256) -> __m256) -> f32 {
    let (x, tail) = x.as_chunks();
    let mut sums = accumulate(x.len(), |sum, i| _mm256_add_ps(sum, function(load(&x[i]))));
    if !tail.is_empty() {
        sums[0] = _mm256_add_ps(sums[0], function(load(&padded(tail))));
    }
    total(sums)
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn rms_norm(x: &[f32], affine: &Affine<'_>, eps: f32, out: &mut [f32]) {
    let mean_square = sum_of(x, |x| _mm256_mul_ps(x, x)) / x.len() as f32;
    normalise(x, 0.0, 1.0 / (mean_square + eps).sqrt(), affine, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn layer_norm(x: &[f32], affine: &Affine<'_>, eps: f32, out: &mut [f32]) {
    let len = x.len() as f32;
    let mean = sum_of(x, |x| x) / len;
    let means = _mm256_set1_ps(mean);
    let square = |x| {
        let centred = _mm256_sub_ps(x, means);
        _mm256_mul_ps(centred, centred)
    };
    // Padding would not be zero here, so the tail is summed by itself.
    let (whole, tail) = x.split_at(x.len() / LANES * LANES);
    let tail: f32 = tail.iter().map(|x| (x - mean) * (x - mean)).sum();
    let variance = (sum_of(whole, square) + tail) / len;
    normalise(x, mean, 1.0 / (variance + eps).sqrt(), affine, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn softmax(x: &mut [f32]) {
    let (chunks, tail) = x.as_chunks();
    let lowest = _mm256_set1_ps(f32::NEG_INFINITY);
    let largest = chunks.iter().fold(lowest, |max, x| _mm256_max_ps(max, load(x)));
    let largest = tail.iter().copied().fold(vector::max(largest), f32::max);
    let max = _mm256_set1_ps(largest);
    map(x, |x| math::exp(_mm256_sub_ps(x, max)));
    let factor = 1.0 / sum_of(x, |x| x);
    super::elementwise::scale(x, factor);
}
