//! Kernels whose elements do not depend on one another.

use std::arch::aarch64::*;

use edgeformer_core::graph::Activation;

use super::math;
use super::vector::{load, map, store};

#[target_feature(enable = "neon")]
pub(super) fn axpy_f32(alpha: f32, x: &[f32], y: &mut [f32]) {
    let ((x, x_tail), (y, y_tail)) = (x.as_chunks(), y.as_chunks_mut());
    for (x, y) in x.iter().zip(y) {
        store(vfmaq_n_f32(load(y), load(x), alpha), y);
    }
    for (x, y) in x_tail.iter().zip(y_tail) {
        *y = alpha.mul_add(*x, *y);
    }
}

#[target_feature(enable = "neon")]
pub(super) fn soft_cap(x: &mut [f32], cap: f32) {
    let caps = vdupq_n_f32(cap);
    map(x, |x| vmulq_f32(caps, math::tanh(vdivq_f32(x, caps))));
}

#[target_feature(enable = "neon")]
pub(super) fn activate(function: Activation, x: &mut [f32]) {
    match function {
        Activation::Silu => map(x, |x| math::over_one_plus_exp(x, x)),
        Activation::Gelu => map(x, |x| vmulq_f32(x, math::normal(x))),
        Activation::GeluTanh => map(x, |x| gelu_tanh(x)),
        Activation::Relu => map(x, |x| vmaxq_f32(vdupq_n_f32(0.0), x)),
        Activation::Sigmoid => map(x, |x| math::over_one_plus_exp(vdupq_n_f32(1.0), x)),
        Activation::Tanh => map(x, |x| math::tanh(x)),
    }
}

/// See the scalar table.
#[inline]
#[target_feature(enable = "neon")]
fn gelu_tanh(x: float32x4_t) -> float32x4_t {
    let linear = 2.0 * (2.0 / std::f32::consts::PI).sqrt();
    let cubic = vdupq_n_f32(0.044715 * linear);
    let slope = vfmaq_f32(vdupq_n_f32(linear), vmulq_f32(x, x), cubic);
    math::over_one_plus_exp(x, vmulq_f32(x, slope))
}
