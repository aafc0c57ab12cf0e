//! Kernels that need a whole row for every element of their result.

use std::arch::aarch64::*;

use super::math;
use super::vector::{LANES, load, load_eight, map, padded, sum_eight};
use crate::kernels::Affine;
use crate::kernels::scalar::elementwise::scale;
use crate::kernels::scalar::reduce::normalise;

/// Vectors that are summed side by side: enough that additions do not wait for one another.
const WIDE: usize = 4;

/// The sum of a function of every element that maps zero (the padding) to zero. Vector `i` goes to
/// partial sum `i % WIDE`, whatever the length.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn sum_of(x: &[f32], function: impl Fn(float32x4_t) -> float32x4_t) -> f32 {
    let mut sums = [vdupq_n_f32(0.0); WIDE];
    let (vectors, tail) = x.as_chunks::<LANES>();
    let (whole, rest) = vectors.as_chunks::<WIDE>();
    for vectors in whole {
        for (sum, vector) in sums.iter_mut().zip(vectors) {
            *sum = vaddq_f32(*sum, function(load(vector)));
        }
    }
    for (sum, vector) in sums.iter_mut().zip(rest) {
        *sum = vaddq_f32(*sum, function(load(vector)));
    }
    if !tail.is_empty() {
        sums[0] = vaddq_f32(sums[0], function(load(&padded(tail))));
    }
    let [a, b, c, d] = sums;
    sum_eight([vaddq_f32(a, b), vaddq_f32(c, d)])
}

#[target_feature(enable = "neon")]
pub(super) fn rms_norm(x: &[f32], affine: &Affine<'_>, eps: f32, out: &mut [f32]) {
    let mean_square = sum_of(x, |x| vmulq_f32(x, x)) / x.len() as f32;
    normalise(x, 0.0, 1.0 / (mean_square + eps).sqrt(), affine, out);
}

#[target_feature(enable = "neon")]
pub(super) fn layer_norm(x: &[f32], affine: &Affine<'_>, eps: f32, out: &mut [f32]) {
    let len = x.len() as f32;
    let mean = sum_of(x, |x| x) / len;
    let means = vdupq_n_f32(mean);
    let square = |x| {
        let centred = vsubq_f32(x, means);
        vmulq_f32(centred, centred)
    };
    // Padding would not be zero here, so the tail is summed by itself.
    let (whole, tail) = x.split_at(x.len() / LANES * LANES);
    let tail: f32 = tail.iter().map(|x| (x - mean) * (x - mean)).sum();
    let variance = (sum_of(whole, square) + tail) / len;
    normalise(x, mean, 1.0 / (variance + eps).sqrt(), affine, out);
}

#[target_feature(enable = "neon")]
pub(super) fn softmax(x: &mut [f32]) {
    let largest = largest(x);
    let factor = 1.0 / exp_minus(x, largest);
    scale(x, factor);
}

/// The largest element; passes over what is no number.
#[target_feature(enable = "neon")]
pub(super) fn largest(x: &[f32]) -> f32 {
    let (vectors, tail) = x.as_chunks::<8>();
    let lowest = vdupq_n_f32(f32::NEG_INFINITY);
    let mut largest = [lowest; 2];
    for vector in vectors {
        for (largest, x) in largest.iter_mut().zip(load_eight(vector)) {
            *largest = vmaxnmq_f32(*largest, x);
        }
    }
    let [a, b] = largest;
    tail.iter().copied().fold(vmaxnmvq_f32(vmaxnmq_f32(a, b)), f32::max)
}

/// `x = exp(x - max)`; returns the sum.
#[target_feature(enable = "neon")]
pub(super) fn exp_minus(x: &mut [f32], max: f32) -> f32 {
    let max = vdupq_n_f32(max);
    map(x, |x| math::exp(vsubq_f32(x, max)));
    sum_of(x, |x| x)
}
