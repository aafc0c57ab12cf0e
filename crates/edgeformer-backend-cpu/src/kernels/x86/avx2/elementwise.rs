//! Kernels whose elements do not depend on one another.

use std::arch::x86_64::*;

use edgeformer_core::graph::Activation;

use super::math;
use super::vector::{load, map, store};
use crate::kernels::scalar::elementwise as scalar;

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn axpy_f32(alpha: f32, x: &[f32], y: &mut [f32]) {
    let alphas = _mm256_set1_ps(alpha);
    let ((x, x_tail), (y, y_tail)) = (x.as_chunks(), y.as_chunks_mut());
    for (x, y) in x.iter().zip(y) {
        store(_mm256_fmadd_ps(alphas, load(x), load(y)), y);
    }
    for (x, y) in x_tail.iter().zip(y_tail) {
        *y = alpha.mul_add(*x, *y);
    }
}

// The compiler makes good vectors of these three by itself.

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn add(x: &mut [f32], y: &[f32]) {
    scalar::add(x, y);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn multiply(x: &mut [f32], y: &[f32]) {
    scalar::multiply(x, y);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn scale(x: &mut [f32], factor: f32) {
    scalar::scale(x, factor);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn soft_cap(x: &mut [f32], cap: f32) {
    let caps = _mm256_set1_ps(cap);
    map(x, |x| _mm256_mul_ps(caps, math::tanh(_mm256_div_ps(x, caps))));
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn activate(function: Activation, x: &mut [f32]) {
    match function {
        Activation::Silu => map(x, |x| math::over_one_plus_exp(x, x)),
        Activation::Gelu => map(x, |x| _mm256_mul_ps(x, math::normal(x))),
        Activation::GeluTanh => map(x, |x| gelu_tanh(x)),
        // `max` returns its second operand if one is NaN.
        Activation::Relu => map(x, |x| _mm256_max_ps(_mm256_setzero_ps(), x)),
        Activation::Sigmoid => map(x, |x| math::over_one_plus_exp(_mm256_set1_ps(1.0), x)),
        Activation::Tanh => map(x, |x| math::tanh(x)),
    }
}

/// See the scalar table.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn gelu_tanh(x: __m256) -> __m256 {
    let linear = 2.0 * (2.0 / std::f32::consts::PI).sqrt();
    let cubic = _mm256_set1_ps(0.044715 * linear);
    let slope = _mm256_fmadd_ps(_mm256_mul_ps(x, x), cubic, _mm256_set1_ps(linear));
    math::over_one_plus_exp(x, _mm256_mul_ps(x, slope))
}
