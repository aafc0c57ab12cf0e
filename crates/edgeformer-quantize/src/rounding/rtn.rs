//! Round to nearest, with the range cut where that lowers the squared error.

use edgeformer_core::quant::Group;

use super::coder::Coder;
use super::fit::Fit;
use super::grid::Scales;
use super::represent::Choice;
use super::search::range;

/// Tries shares of the range, and both signs of the scale where there is no minimum: codes reach
/// one further below zero than above.
#[derive(Debug, Clone, Copy)]
pub struct Clip;

/// Shares of the range that are kept.
const SHARES: [f32; 8] = [1.0, 0.96, 0.92, 0.88, 0.84, 0.8, 0.75, 0.7];

impl Choice for Clip {
    fn choose<C: Coder, const N: usize>(&self, fit: &Fit<'_, C, N>, scales: Scales) -> Group {
        let (low, high) = range(fit.values);
        let (below, above) = fit.coder.limits();
        if scales.has_min() {
            let low = if scales == Scales::HalfWithMin { low } else { low.min(0.0) };
            let (middle, width) = (0.5 * (low + high), high - low);
            return least(
                fit,
                SHARES.into_iter().map(|share| {
                    let min = 0.5 * share * width - middle;
                    let min = if scales == Scales::HalfWithMin { min } else { min.max(0.0) };
                    Group { scale: share * width / above, min }
                }),
            );
        }
        let extreme = low.abs().max(high.abs());
        let sides = if below == above { [above, above] } else { [below, -below] };
        let signed = |limit: f32| SHARES.into_iter().map(move |share| share * extreme / limit);
        let scales =
            signed(sides[0]).chain(signed(sides[1]).take(if below == above { 0 } else { 8 }));
        least(fit, scales.map(|scale| Group { scale, min: 0.0 }))
    }
}

fn least<C: Coder, const N: usize>(
    fit: &Fit<'_, C, N>,
    tries: impl Iterator<Item = Group>,
) -> Group {
    let nothing = (Group { scale: 0.0, min: 0.0 }, f32::INFINITY);
    let priced = tries.map(|group| (group, fit.error(group)));
    priced.fold(nothing, |best, next| if next.1 < best.1 { next } else { best }).0
}
