//! Blocks that are one group: the best halves.

use edgeformer_core::quant::{Group, Shared};

use super::{Candidate, Solver};
use crate::rounding::coder::Coder;
use crate::rounding::fit::Fit;
use crate::rounding::grid::Parts;
use crate::rounding::search;

impl<C: Coder, const N: usize> Solver<'_, C, N> {
    /// The best scale that a half can hold.
    #[inline(always)]
    pub(super) fn half(&self, rival: Option<&Parts>) -> Candidate {
        let Some(fit) = self.fits().next() else { return Candidate::NONE };
        let mut best = Candidate::NONE;
        for found in search::scales(&fit, self.starts()) {
            best.keep(self.stored(&fit, found.group));
        }
        if let Some(rival) = rival {
            best.keep(self.priced(rival.clone()));
        }
        self.until_settled(best, |parts| {
            let (scale, _) = fit.refit_scale(parts.shared.scale);
            self.stored(&fit, Group { scale, min: 0.0 })
        })
    }

    /// The best scale and minimum that two halves can hold.
    #[inline(always)]
    pub(super) fn half_with_min(&self, rival: Option<&Parts>) -> Candidate {
        let Some(fit) = self.fits().next() else { return Candidate::NONE };
        let found = search::lines(&fit, self.starts(), false);
        let mut best = self.stored(&fit, found.group);
        if let Some(rival) = rival {
            best.keep(self.priced(rival.clone()));
        }
        self.until_settled(best, |parts| {
            let line = fit.sums(parts.group(0)).line(false);
            line.map_or(Candidate::NONE, |(line, _)| self.stored(&fit, line))
        })
    }

    #[inline(always)]
    fn stored(&self, fit: &Fit<'_, C, N>, group: Group) -> Candidate {
        let halves = self.task.halves;
        let group = Group { scale: halves.nearest(group.scale), min: halves.nearest(group.min) };
        let mut parts = Parts::ZERO;
        let shared = &mut parts.shared;
        (shared.scale, shared.min) = (group.scale, group.min);
        let Shared { scales: [scale, ..], mins: [min, ..], .. } = shared;
        (*scale, *min) = (1, u8::from(self.grid.scales.has_min()));
        Candidate { error: fit.error(group), parts }
    }

    /// Repeats a step while it improves.
    #[inline(always)]
    pub(super) fn until_settled(
        &self,
        mut best: Candidate,
        step: impl Fn(&Parts) -> Candidate,
    ) -> Candidate {
        const MOST: usize = 8;
        for _ in 0..MOST {
            let next = step(&best.parts);
            if next.error >= best.error {
                break;
            }
            best = next;
        }
        best
    }
}
