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

fn normalise(x: &[f32], mean: f32, factor: f32, affine: &Affine<'_>, out: &mut [f32]) {
    for (i, (out, x)) in out.iter_mut().zip(x).enumerate() {
        let weight = affine.weight.map_or(1.0, |weight| weight[i] + affine.offset);
        let bias = affine.bias.map_or(0.0, |bias| bias[i]);
        *out = (x - mean) * factor * weight + bias;
    }
}

pub(super) fn softmax(x: &mut [f32]) {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    x.iter_mut().for_each(|x| *x = (*x - max).exp());
    let factor = 1.0 / lanes::sum(x.len(), |i| x[i]);
    x.iter_mut().for_each(|x| *x *= factor);
}
