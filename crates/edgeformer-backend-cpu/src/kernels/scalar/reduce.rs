//! Kernels that need a whole row for every element of their result.

use super::super::Affine;
use super::lanes;

/// Zhang and Sennrich, "Root Mean Square Layer Normalization", arXiv 1910.07467.
pub(super) fn rms_norm(x: &[f32], affine: &Affine<'_>, eps: f32, out: &mut [f32]) {
    let mean_square = lanes::sum(x.len(), |i| x[i] * x[i]) / x.len() as f32;
    normalise(x, 0.0, 1.0 / (mean_square + eps).sqrt(), affine, out);
}

/// Ba, Kiros and Hinton, "Layer Normalization", arXiv 1607.06450.
pub(super) fn layer_norm(x: &[f32], affine: &Affine<'_>, eps: f32, out: &mut [f32]) {
    let len = x.len() as f32;
    let mean = lanes::sum(x.len(), |i| x[i]) / len;
    let variance = lanes::sum(x.len(), |i| (x[i] - mean) * (x[i] - mean)) / len;
    normalise(x, mean, 1.0 / (variance + eps).sqrt(), affine, out);
}

/// Loops, one for each case, that the compiler makes vectors of: those that the caller has.
#[inline]
pub(in crate::kernels) fn normalise(
    x: &[f32],
    mean: f32,
    factor: f32,
    affine: &Affine<'_>,
    out: &mut [f32],
) {
    match affine.weight {
        Some(weight) => {
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = (x - mean) * factor * (weight + affine.offset);
            }
        }
        None => out.iter_mut().zip(x).for_each(|(out, x)| *out = (x - mean) * factor),
    }
    if let Some(bias) = affine.bias {
        out.iter_mut().zip(bias).for_each(|(out, bias)| *out += bias);
    }
}

pub(super) fn softmax(x: &mut [f32]) {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    x.iter_mut().for_each(|x| *x = (*x - max).exp());
    let factor = 1.0 / lanes::sum(x.len(), |i| x[i]);
    x.iter_mut().for_each(|x| *x *= factor);
}
