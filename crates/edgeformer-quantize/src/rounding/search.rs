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
pub fn scales<C: Coder, const N: usize>(fit: &Fit<'_, C, N>, starts: Starts) -> [Found; 2] {
    let (low, high) = range(fit.values);
    let (below, above) = fit.coder.limits();
    let side = |sign: f32| {
        // A scale above zero puts the smallest value on the lowest code.
        let (low, high) = if sign > 0.0 { (-low, high) } else { (high, -low) };
        let mut best = Found { group: symmetric(0.0), error: f32::INFINITY, centre: 0.0 };
        for start in starts.iter() {
            let fitting = (low / (below + start)).max(high / (above + start));
            best = improve_scale(fit, sign * fitting, best);
        }
        settle_scale(fit, best)
    };
    [side(1.0), side(-1.0)]
}

fn improve_scale<C: Coder, const N: usize>(fit: &Fit<'_, C, N>, scale: f32, best: Found) -> Found {
    let group = symmetric(fit.refit_scale(scale));
    let error = fit.error(group);
    if error < best.error { Found { group, error, centre: 0.0 } } else { best }
}

fn settle_scale<C: Coder, const N: usize>(fit: &Fit<'_, C, N>, mut best: Found) -> Found {
    for _ in 0..SETTLING {
        let next = improve_scale(fit, best.group.scale, best);
        if next.error >= best.error {
            break;
        }
        best = next;
    }
    best
}

/// The best scale and minimum; where minima must not be negative (`above`), of those.
///
/// Starts cut from the range of the values at both ends, in all combinations.
pub fn lines<C: Coder, const N: usize>(fit: &Fit<'_, C, N>, starts: Starts, above: bool) -> Found {
    let (low, high) = range(fit.values);
    let low = if above { low.min(0.0) } else { low };
    let flat = Group { scale: 0.0, min: -low };
    let mut best = Found { group: flat, error: fit.error(flat), centre: 0.0 };
    let (_, levels) = fit.coder.limits();
    let step = (high - low) / levels;
    if step < 1e-12 {
        return best;
    }
    for from_low in starts.iter() {
        for from_high in starts.iter() {
            let scale = step * (levels - from_low - from_high) / levels;
            let min = -(low + from_low * step);
            let start = Group { scale, min: if above { min.max(0.0) } else { min } };
            best = improve_line(fit, start, above, best);
        }
    }
    for _ in 0..SETTLING {
        let next = improve_line(fit, best.group, above, best);
        if next.error >= best.error {
            break;
        }
        best = next;
    }
    best
}

fn improve_line<C: Coder, const N: usize>(
    fit: &Fit<'_, C, N>,
    start: Group,
    above: bool,
    best: Found,
) -> Found {
    let sums = fit.sums(start);
    let Some(group) = sums.line(above) else { return best };
    let error = fit.error(group);
    if error < best.error { Found { group, error, centre: sums.c / sums.w } } else { best }
}

/// How often the best is fitted again at most.
const SETTLING: usize = 6;

fn symmetric(scale: f32) -> Group {
    Group { scale, min: 0.0 }
}

/// The smallest and the largest value.
pub fn range(values: &[f32]) -> (f32, f32) {
    let of = |(low, high): (f32, f32), &value: &f32| (low.min(value), high.max(value));
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), of)
}
