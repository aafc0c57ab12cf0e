//! Kernels whose elements do not depend on one another.

use edgeformer_core::graph::Activation;

use super::normal;

pub(super) fn axpy_f32(alpha: f32, x: &[f32], y: &mut [f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += alpha * x);
}

#[inline]
pub(in crate::kernels) fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

#[inline]
pub(in crate::kernels) fn multiply(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x *= y);
}

#[inline]
pub(in crate::kernels) fn scale(x: &mut [f32], factor: f32) {
    x.iter_mut().for_each(|x| *x *= factor);
}

pub(super) fn soft_cap(x: &mut [f32], cap: f32) {
    x.iter_mut().for_each(|x| *x = cap * (*x / cap).tanh());
}

pub(super) fn activate(function: Activation, x: &mut [f32]) {
    match function {
        Activation::Silu => apply(x, |x| x / (1.0 + (-x).exp())),
        Activation::Gelu => apply(x, |x| x * normal::distribution(x)),
        Activation::GeluTanh => apply(x, gelu_tanh),
        Activation::Relu => apply(x, |x| if x < 0.0 { 0.0 } else { x }),
        Activation::Sigmoid => apply(x, |x| 1.0 / (1.0 + (-x).exp())),
        Activation::Tanh => apply(x, f32::tanh),
    }
}

fn apply(x: &mut [f32], function: impl Fn(f32) -> f32) {
    x.iter_mut().for_each(|x| *x = function(*x));
}

/// Hendrycks and Gimpel, "Gaussian Error Linear Units", arXiv 1606.08415. Their
/// `(1 + tanh(t)) / 2` is `1 / (1 + exp(-2t))`, which keeps its digits where tanh is near -1.
fn gelu_tanh(x: f32) -> f32 {
    let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    x / (1.0 + (-2.0 * inner).exp())
}
