//! Half-quadratic quantization (H. Badri, A. Shaji, "Half-Quadratic Quantization of Large Machine
//! Learning Models", 2023): no data, an error measure that forgives outliers.
//!
//! The sum of `|error|^p` with p = 0.7 is split in two by an auxiliary `W_e`, the part of the
//! error that is taken for outliers:
//!
//! - `W_e = shrink(W - W_q, β)`, where `shrink(x) = sign(x) max(0, |x| - |x|^(p-1) / β)`;
//! - then the zero point, in codes, is the mean of `code - (W - W_e) / scale`.
//!
//! β grows by κ = 1.01 a step, at most 20 steps, until the mean error no longer falls. Errors are
//! measured in steps between codes, so that β means the same for every group. The scale stays that
//! of the range, as in the paper. Formats without minimum have no zero point: there the scale is
//! fitted to `W - W_e` by least squares, under the same measure.

use edgeformer_core::quant::Group;

use super::coder::Coder;
use super::fit::{Fit, inverse};
use super::grid::Scales;
use super::represent::Choice;
use super::search::range;

/// The method.
#[derive(Debug, Clone, Copy)]
pub struct HalfQuadratic;

const P: f32 = 0.7;
const BETA: f32 = 10.0;
const KAPPA: f32 = 1.01;
const STEPS: usize = 20;

impl Choice for HalfQuadratic {
    fn choose<C: Coder, const N: usize>(&self, fit: &Fit<'_, C, N>, scales: Scales) -> Group {
        let (low, high) = range(fit.values);
        let (below, above) = fit.coder.limits();
        match scales {
            Scales::HalfWithMin => descend(fit, with_min(low, high, above), zero_point),
            Scales::WholeWithMin(_) => {
                // Minima cannot be negative.
                let group = descend(fit, with_min(low.min(0.0), high, above), zero_point);
                Group { min: group.min.max(0.0), ..group }
            }
            Scales::Half | Scales::Whole(..) => {
                let largest = low.abs().max(high.abs());
                let sign = if -low >= high { 1.0 } else { -1.0 };
                let start = Group { scale: sign * largest / below.max(above), min: 0.0 };
                descend(fit, start, scale_alone)
            }
        }
    }
}

fn with_min(low: f32, high: f32, levels: f32) -> Group {
    Group { scale: (high - low) / levels, min: -low }
}

/// What is left of the values when outliers are taken out, with their codes, gives the next scale
/// and minimum.
type Update<const N: usize> = fn(Group, &[f32; N], &[f32; N]) -> Group;

fn descend<C: Coder, const N: usize>(
    fit: &Fit<'_, C, N>,
    start: Group,
    update: Update<N>,
) -> Group {
    if start.scale == 0.0 {
        return start;
    }
    let (mut best, mut least) = (start, f32::INFINITY);
    let (mut group, mut beta) = (start, BETA);
    for _ in 0..STEPS {
        let inverse = inverse(group.scale);
        let codes = fit.values.map(|value| fit.coder.code((value + group.min) * inverse));
        let errors: [f32; N] =
            std::array::from_fn(|i| (fit.values[i] + group.min) * inverse - codes[i]);
        let mean = errors.iter().map(|error| error.abs()).sum::<f32>() / N as f32;
        let mean = mean * group.scale.abs();
        if mean >= least {
            break;
        }
        (best, least) = (group, mean);
        let kept = std::array::from_fn(|i| fit.values[i] - group.scale * shrink(errors[i], beta));
        group = update(group, &kept, &codes);
        beta *= KAPPA;
    }
    best
}

/// The generalised soft threshold.
fn shrink(error: f32, beta: f32) -> f32 {
    let size = error.abs();
    if size == 0.0 {
        return 0.0;
    }
    (size - size.powf(P - 1.0) / beta).max(0.0).copysign(error)
}

fn zero_point<const N: usize>(group: Group, kept: &[f32; N], codes: &[f32; N]) -> Group {
    let pairs = codes.iter().zip(kept);
    let sum: f32 = pairs.map(|(code, kept)| group.scale * code - kept).sum();
    Group { scale: group.scale, min: sum / N as f32 }
}

fn scale_alone<const N: usize>(group: Group, kept: &[f32; N], codes: &[f32; N]) -> Group {
    let own: f32 = codes.iter().map(|code| code * code).sum();
    let cross: f32 = codes.iter().zip(kept).map(|(code, kept)| code * kept).sum();
    if own > 0.0 { Group { scale: cross / own, min: 0.0 } } else { group }
}
