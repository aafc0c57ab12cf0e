//! Blocks of groups whose scales and minima are whole numbers, each times a half.

use edgeformer_core::quant::Group;

use super::{Candidate, Solver};
use crate::rounding::coder::Coder;
use crate::rounding::fit::{Fit, inverse};
use crate::rounding::grid::{MOST_GROUPS, Parts};
use crate::rounding::search::{self, Found};

impl<C: Coder, const N: usize> Solver<'_, C, N> {
    /// The best two halves and whole numbers up to `most`.
    #[inline(always)]
    pub(super) fn whole_with_min(&self, most: f32, rival: Option<&Parts>) -> Candidate {
        let nothing = Group { scale: 0.0, min: 0.0 };
        let mut ideal = [Found { group: nothing, error: 0.0, centre: 0.0 }; MOST_GROUPS];
        for (ideal, fit) in ideal.iter_mut().zip(self.fits()) {
            *ideal = search::lines(&fit, self.starts(), true);
        }
        let mut best = self.search_halves(&ideal, most);
        if let Some(rival) = rival {
            best.keep(self.priced(rival.clone()));
        }
        self.until_settled(best, |parts| self.refit_both(parts, most))
    }

    /// Tries halves under which the largest scale, and then the largest minimum, becomes one
    /// whole number or the other near `most`.
    #[inline(always)]
    fn search_halves(&self, ideal: &[Found], most: f32) -> Candidate {
        let halves = self.task.halves;
        let scale = ideal.iter().fold(0.0f32, |most, found| most.max(found.group.scale));
        let min = ideal.iter().fold(0.0f32, |most, found| most.max(found.group.min));
        let (step, count) = if most < 32.0 { (0.8, 9u8) } else { (2.5, 4) };
        let tries = |largest: f32| {
            (0..count).map(move |i| halves.not_below(largest / (most + 0.6 - step * f32::from(i))))
        };
        let first = halves.not_below(min / most);
        let mut best = Candidate::NONE;
        for scale in tries(scale) {
            best.keep(self.nearest_both(ideal, (scale, first), most));
        }
        let scale = best.parts.shared.scale;
        for min in tries(min) {
            best.keep(self.nearest_both(ideal, (scale, min), most));
        }
        best
    }

    /// For every group the whole numbers of least error near its ideal scale and minimum.
    #[inline(always)]
    fn nearest_both(&self, ideal: &[Found], shared: (f32, f32), most: f32) -> Candidate {
        let (inverse_scale, inverse_min) = (inverse(shared.0), inverse(shared.1));
        self.each_group(shared, |index, fit| {
            let Found { group, centre, .. } = ideal[index];
            let mut best = Best::NONE;
            let first = (group.scale * inverse_scale).floor();
            for whole in [first, first + 1.0] {
                // The line turns around the mean code.
                let turned = group.min + (whole * shared.0 - group.scale) * centre;
                let low = (turned * inverse_min).floor();
                for min in [low, low + 1.0] {
                    best.try_both(fit, shared, (whole, min), most);
                }
            }
            best
        })
    }

    /// The best halves for whole numbers and codes as they are, then the best whole numbers near
    /// those for these halves.
    #[inline(always)]
    fn refit_both(&self, parts: &Parts, most: f32) -> Candidate {
        let shared = self.refit_halves(parts);
        self.each_group(shared, |index, fit| {
            let scale = f32::from(parts.shared.scales[index]);
            let min = f32::from(parts.shared.mins[index]);
            let mut best = Best::NONE;
            best.try_both(fit, shared, (scale, min), most);
            for by_scale in [-1.0, 0.0, 1.0] {
                for by_min in [-1.0, 0.0, 1.0] {
                    best.try_both(fit, shared, (scale + by_scale, min + by_min), most);
                }
            }
            best
        })
    }

    /// Least squares of `D s c - M m` over the block, for the halves `D` and `M`.
    #[inline(always)]
    fn refit_halves(&self, parts: &Parts) -> (f32, f32) {
        let [mut dd, mut dm, mut mm, mut xd, mut xm] = [0.0f32; 5];
        for (index, fit) in self.fits().enumerate() {
            let sums = fit.sums(parts.group(index));
            let scale = f32::from(parts.shared.scales[index]);
            let min = f32::from(parts.shared.mins[index]);
            dd += scale * scale * sums.cc;
            dm += scale * min * sums.c;
            mm += min * min * sums.w;
            xd += scale * sums.xc();
            xm += min * sums.x();
        }
        let determinant = dd * mm - dm * dm;
        let halves = self.task.halves;
        if determinant > 1e-6 * dd * mm {
            let scale = (mm * xd - dm * xm) / determinant;
            let min = (dm * xd - dd * xm) / determinant;
            return (halves.nearest(scale), halves.nearest(min));
        }
        let scale = if dd > 0.0 { xd / dd } else { parts.shared.scale };
        (halves.nearest(scale), parts.shared.min)
    }

    #[inline(always)]
    fn each_group(
        &self,
        (scale, min): (f32, f32),
        best_of: impl Fn(usize, &Fit<'_, C, N>) -> Best,
    ) -> Candidate {
        let mut parts = Parts::ZERO;
        (parts.shared.scale, parts.shared.min) = (scale, min);
        let mut error = 0.0;
        for (index, fit) in self.fits().enumerate() {
            let best = best_of(index, &fit);
            error += best.error;
            parts.shared.scales[index] = best.scale;
            parts.shared.mins[index] = best.min;
        }
        Candidate { parts, error }
    }
}

/// The best whole numbers of a group so far.
#[derive(Debug, Clone, Copy)]
struct Best {
    error: f32,
    scale: i8,
    min: u8,
}

impl Best {
    const NONE: Self = Self { error: f32::INFINITY, scale: 0, min: 0 };

    #[inline(always)]
    fn try_both<C: Coder, const N: usize>(
        &mut self,
        fit: &Fit<'_, C, N>,
        shared: (f32, f32),
        (scale, min): (f32, f32),
        most: f32,
    ) {
        let (scale, min) = (scale.clamp(0.0, most), min.clamp(0.0, most));
        let error = fit.error(Group { scale: shared.0 * scale, min: shared.1 * min });
        if error < self.error {
            *self = Self { error, scale: scale as i8, min: min as u8 };
        }
    }
}
