//! Scales and minima of least error for one group, as real numbers: what is then stored.

use edgeformer_core::quant::Group;

use super::coder::Coder;
use super::fit::Fit;

/// A scale and a minimum with their error.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// Which.
    pub group: Group,
    /// The weighted squared error.
    pub error: f32,
    /// The mean code: where the line stays when the scale is changed with the least harm.
    pub centre: f32,
}

/// Where searches begin, in steps between codes beyond the code that the outermost value would
/// get without any clipping: above zero, that value is clipped.
#[derive(Debug, Clone, Copy)]
pub struct Starts {
    /// The first.
    pub first: f32,
    /// From one to the next.
    pub step: f32,
    /// How many.
    pub count: u8,
}

impl Starts {
    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = f32> + Clone {
        (0..self.count).map(move |i| self.first + self.step * f32::from(i))
    }
}

/// The best scale above zero and the best below, without minimum.
///
/// From every start: codes, the best scale for them by least squares, codes again. What is best
/// then goes on until it settles.
#[inline(always)]
pub fn scales<C: Coder, const N: usize>(fit: &Fit<'_, C, N>, starts: Starts) -> [Found; 2] {
    let (low, high) = range(fit.values);
    // A scale above zero puts the smallest value on the lowest code.
    [one_sign(fit, starts, (-low, high), 1.0), one_sign(fit, starts, (high, -low), -1.0)]
}

/// The best scale of one sign: what is below and what is above zero under it lies this far away.
#[inline(always)]
fn one_sign<C: Coder, const N: usize>(
    fit: &Fit<'_, C, N>,
    starts: Starts,
    (low, high): (f32, f32),
    sign: f32,
) -> Found {
    let (below, above) = fit.coder.limits();
    let mut best = (0.0, f32::INFINITY);
    // A loop and no closure: closures are not compiled for wider vectors.
    for start in starts.iter() {
        let scale = sign * (low / (below + start)).max(high / (above + start));
        best = better(best, fit.refit_scale(scale));
    }
    settle_scale(fit, best)
}

#[inline(always)]
fn settle_scale<C: Coder, const N: usize>(fit: &Fit<'_, C, N>, mut best: (f32, f32)) -> Found {
    for _ in 0..SETTLING {
        let next = fit.refit_scale(best.0);
        if next.1 >= best.1 {
            break;
        }
        best = next;
    }
    let group = Group { scale: best.0, min: 0.0 };
    Found { group, error: fit.error(group), centre: 0.0 }
}

#[inline(always)]
fn better<T>(best: (T, f32), next: (T, f32)) -> (T, f32) {
    if next.1 < best.1 { next } else { best }
}

/// The best scale and minimum; where minima must not be negative (`above`), of those.
///
/// Starts cut from the range of the values at both ends, in all combinations.
#[inline(always)]
pub fn lines<C: Coder, const N: usize>(fit: &Fit<'_, C, N>, starts: Starts, above: bool) -> Found {
    let (low, high) = range(fit.values);
    let low = if above { low.min(0.0) } else { low };
    let flat = Group { scale: 0.0, min: -low };
    let (_, levels) = fit.coder.limits();
    let step = (high - low) / levels;
    if step < 1e-12 {
        return Found { group: flat, error: fit.error(flat), centre: 0.0 };
    }
    let mut best = (flat, fit.error(flat));
    for from_low in starts.iter() {
        for from_high in starts.iter() {
            let scale = step * (levels - from_low - from_high) / levels;
            let min = -(low + from_low * step);
            let start = Group { scale, min: if above { min.max(0.0) } else { min } };
            if let Some(line) = fit.sums(start).line(above) {
                best = better(best, line);
            }
        }
    }
    settle_line(fit, best, above)
}

#[inline(always)]
fn settle_line<C: Coder, const N: usize>(
    fit: &Fit<'_, C, N>,
    mut best: (Group, f32),
    above: bool,
) -> Found {
    let mut centre = 0.0;
    for _ in 0..SETTLING {
        let sums = fit.sums(best.0);
        centre = sums.c / sums.w;
        match sums.line(above) {
            Some(next) if next.1 < best.1 => best = next,
            _ => break,
        }
    }
    Found { group: best.0, error: fit.error(best.0), centre }
}

/// How often the best is fitted again at most.
const SETTLING: usize = 6;

/// The smallest and the largest value.
#[inline(always)]
pub fn range(values: &[f32]) -> (f32, f32) {
    let of = |(low, high): (f32, f32), &value: &f32| (low.min(value), high.max(value));
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), of)
}
