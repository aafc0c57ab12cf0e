//! Elementwise functions.

use candle_core::{D, Result, Tensor};
use edgeformer_core::graph::Activation;

use super::fused::{self, Silu};

pub(super) fn activate(activation: Activation, x: &Tensor) -> Result<Tensor> {
    match activation {
        Activation::Silu if fused::serves(x) => x.contiguous()?.apply_op1(Silu),
        Activation::Silu => x.silu(),
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
    }
}

/// `1 / (1 + exp(-x))`, by the hyperbolic tangent: no intermediate value overflows, forward or
/// backward.
pub(super) fn sigmoid(x: &Tensor) -> Result<Tensor> {
    x.affine(0.5, 0.0)?.tanh()?.affine(0.5, 0.5)
}

/// `cap * tanh(x / cap)`.
pub(super) fn soft_cap(x: &Tensor, cap: f32) -> Result<Tensor> {
    let cap = f64::from(cap);
    x.affine(1.0 / cap, 0.0)?.tanh()?.affine(cap, 0.0)
}

/// The softmax of the last dimension.
pub(super) fn softmax(x: &Tensor) -> Result<Tensor> {
    let greatest = x.max_keepdim(D::Minus1)?;
    let powers = x.broadcast_sub(&greatest)?.exp()?;
    let sum = powers.sum_keepdim(D::Minus1)?;
    powers.broadcast_div(&sum)
}
