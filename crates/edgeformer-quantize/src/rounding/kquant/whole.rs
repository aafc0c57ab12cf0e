//! Blocks of groups whose scales are whole numbers times a half, without minima.

use edgeformer_core::quant::Group;

use super::{Candidate, Solver};
use crate::rounding::coder::Coder;
use crate::rounding::fit::{Fit, inverse};
use crate::rounding::grid::{MOST_GROUPS, Parts};
use crate::rounding::search::{self, Found};

impl<C: Coder, const N: usize> Solver<'_, C, N> {
    /// The best half and whole numbers between two limits.
    #[inline(always)]
    pub(super) fn whole(&self, limits: (f32, f32), rival: Option<&Parts>) -> Candidate {
        let nothing = Group { scale: 0.0, min: 0.0 };
        let nothing = Found { group: nothing, error: f32::INFINITY, centre: 0.0 };
        let mut ideal = [[nothing; 2]; MOST_GROUPS];
        for (ideal, fit) in ideal.iter_mut().zip(self.fits()) {
            *ideal = search::scales(&fit, self.starts());
        }
        let mut best = Candidate::NONE;
        for scale in self.shared_scales(&ideal, limits) {
            best.keep(self.nearest_whole(&ideal, scale, limits));
        }
        if let Some(rival) = rival {
            best.keep(self.priced(rival.clone()));
        }
        self.until_settled(best, |parts| self.refit_whole(parts, limits))
    }

    /// Halves under which the largest scale becomes one whole number or the other at the end of
    /// the limits: each is lucky for other groups.
    fn shared_scales(&self, ideal: &[[Found; 2]], (low, high): (f32, f32)) -> Vec<f32> {
        let best = ideal.iter().map(|[above, below]| {
            if above.error <= below.error { above.group.scale } else { below.group.scale }
        });
        let extreme =
            best.fold(0.0f32, |most, scale| if scale.abs() > most.abs() { scale } else { most });
        // Of many whole numbers one is as good as the next.
        let (step, count) = if high > 100.0 { (4.0, 4u8) } else { (0.8, 10) };
        let tries = (0..count).map(|i| low - 0.7 + step * f32::from(i));
        let mirrored = [high, high - 1.0];
        tries.chain(mirrored).map(|whole| self.task.halves.not_below(extreme / whole)).collect()
    }

    /// For every group the whole number of least error near its ideal scales.
    #[inline(always)]
    fn nearest_whole(&self, ideal: &[[Found; 2]], scale: f32, limits: (f32, f32)) -> Candidate {
        let mut parts = Parts::ZERO;
        parts.shared.scale = scale;
        let inverse = inverse(scale);
        let mut error = 0.0;
        for (index, (ideal, fit)) in ideal.iter().zip(self.fits()).enumerate() {
            let mut best = (f32::INFINITY, 0);
            for found in ideal {
                // One sign is often so much worse that no rounding makes up for it.
                if found.error > 1.3 * ideal[0].error.min(ideal[1].error) {
                    continue;
                }
                let first = (found.group.scale * inverse).floor() - 1.0;
                for whole in [first, first + 1.0, first + 2.0, first + 3.0] {
                    try_whole(&fit, scale, whole, limits, &mut best);
                }
            }
            error += best.0;
            parts.shared.scales[index] = best.1;
        }
        Candidate { parts, error }
    }

    /// The best half for whole numbers and codes as they are, then the best whole numbers near
    /// those for that half.
    #[inline(always)]
    fn refit_whole(&self, parts: &Parts, limits: (f32, f32)) -> Candidate {
        let (mut own, mut cross) = (0.0, 0.0);
        for (index, fit) in self.fits().enumerate() {
            let sums = fit.sums(parts.group(index));
            let whole = f32::from(parts.shared.scales[index]);
            own += whole * whole * sums.cc;
            cross += whole * sums.xc();
        }
        if own <= 0.0 {
            return Candidate::NONE;
        }
        let mut refitted = Parts::ZERO;
        let scale = self.task.halves.nearest(cross / own);
        refitted.shared.scale = scale;
        let mut error = 0.0;
        for (index, fit) in self.fits().enumerate() {
            let held = f32::from(parts.shared.scales[index]);
            let mut best = (f32::INFINITY, 0);
            for whole in [held, held - 1.0, held + 1.0] {
                try_whole(&fit, scale, whole, limits, &mut best);
            }
            error += best.0;
            refitted.shared.scales[index] = best.1;
        }
        Candidate { parts: refitted, error }
    }
}

#[inline(always)]
fn try_whole<C: Coder, const N: usize>(
    fit: &Fit<'_, C, N>,
    scale: f32,
    whole: f32,
    (low, high): (f32, f32),
    best: &mut (f32, i8),
) {
    let whole = whole.clamp(low, high);
    let error = fit.error(Group { scale: scale * whole, min: 0.0 });
    if error < best.0 {
        *best = (error, whole as i8);
    }
}
