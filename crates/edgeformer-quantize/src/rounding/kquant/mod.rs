//! Scales and minima of least weighted squared error, as they are stored.
//!
//! The k-quants of llama.cpp (I. Kawrakow, ggml pull requests 1684 and 4861) look for the best
//! scale and minimum of every group as real numbers, round them to what the super-block can
//! store, and round the values with that. Here the super-block's half-precision scales and the
//! groups' whole numbers are searched together, by the error of what will be read back: several
//! super-scales are tried, with the best whole numbers of each group near the ideal ones under
//! each, and then halves, whole numbers and codes take turns at being the best for the others
//! until nothing improves.

mod single;
mod whole;
mod whole_with_min;

use super::coder::{Book, Coder, Range};
use super::fit::{Fit, inverse};
use super::grid::{Codes, Grid, LONGEST, Parts, Scales};
use super::search::Starts;
use super::task::Task;
use super::wide::{Work, with_widest};

/// A block's parts of least error, never more than that of `rival`: scales in the task's units.
pub fn solve(grid: &Grid, task: &Task, rival: Option<&Parts>) -> Parts {
    match (grid.codes, grid.group) {
        (Codes::Book, _) => Search::<Book, 32>::of(grid, task, Book, rival).search(),
        (Codes::Range(low, high), 16) => {
            Search::<Range, 16>::of(grid, task, Range { low, high }, rival).search()
        }
        (Codes::Range(low, high), _) => {
            Search::<Range, 32>::of(grid, task, Range { low, high }, rival).search()
        }
    }
}

/// A search, to be run with the widest vectors of the machine.
struct Search<'a, C, const N: usize> {
    solver: Solver<'a, C, N>,
    rival: Option<&'a Parts>,
}

impl<'a, C: Coder, const N: usize> Search<'a, C, N> {
    fn of(grid: &'a Grid, task: &'a Task, coder: C, rival: Option<&'a Parts>) -> Self {
        Self { solver: Solver { grid, task, coder }, rival }
    }

    fn search(self) -> Parts {
        with_widest(self)
    }
}

impl<C: Coder, const N: usize> Work for Search<'_, C, N> {
    type Output = Parts;

    #[inline(always)]
    fn run(self) -> Parts {
        self.solver.solve(self.rival)
    }
}

/// The codes nearest to the task's values under the parts' scales.
pub fn round(grid: &Grid, task: &Task, parts: &mut Parts) {
    match grid.codes {
        Codes::Book => round_with(Book, grid, task, parts),
        Codes::Range(low, high) => round_with(Range { low, high }, grid, task, parts),
    }
}

#[inline(always)]
fn round_with(coder: impl Coder, grid: &Grid, task: &Task, parts: &mut Parts) {
    for index in 0..grid.groups() {
        let group = parts.group(index);
        let inverse = inverse(group.scale);
        for i in index * grid.group..(index + 1) * grid.group {
            parts.codes[i] = coder.code((task.values[i] + group.min) * inverse) as i8;
        }
    }
}

/// The search for one block of groups of `N`.
#[derive(Debug, Clone, Copy)]
struct Solver<'a, C, const N: usize> {
    grid: &'a Grid,
    task: &'a Task,
    coder: C,
}

/// Scales and minima with the error of the whole block.
#[derive(Debug, Clone)]
struct Candidate {
    parts: Parts,
    error: f32,
}

impl Candidate {
    /// What anything is better than.
    const NONE: Self = Self { parts: Parts::ZERO, error: f32::INFINITY };

    fn keep(&mut self, other: Self) {
        if other.error < self.error {
            *self = other;
        }
    }
}

impl<'a, C: Coder, const N: usize> Solver<'a, C, N> {
    #[inline(always)]
    fn solve(&self, rival: Option<&Parts>) -> Parts {
        let best = match self.grid.scales {
            Scales::Half => self.half(rival),
            Scales::HalfWithMin => self.half_with_min(rival),
            Scales::Whole(low, high) => self.whole((low, high), rival),
            Scales::WholeWithMin(high) => self.whole_with_min(high, rival),
        };
        let mut parts = best.parts;
        round_with(self.coder, self.grid, self.task, &mut parts);
        parts
    }

    #[inline(always)]
    fn fits(&self) -> impl Iterator<Item = Fit<'a, C, N>> + use<'a, C, N> {
        let (coder, len) = (self.coder, self.grid.len.min(LONGEST));
        let values = self.task.values[..len].as_chunks().0.iter();
        let pairs = values.zip(self.task.weights[..len].as_chunks().0);
        pairs.map(move |(values, weights)| Fit { values, weights, coder })
    }

    #[inline(always)]
    fn error(&self, parts: &Parts) -> f32 {
        self.fits().enumerate().map(|(index, fit)| fit.error(parts.group(index))).sum()
    }

    #[inline(always)]
    fn priced(&self, parts: Parts) -> Candidate {
        Candidate { error: self.error(&parts), parts }
    }

    /// Where to begin with a group.
    fn starts(&self) -> Starts {
        let (below, above) = self.coder.limits();
        match (self.grid.scales.has_min(), (below + above) as u16) {
            (true, ..=3) => Starts { first: -0.1, step: 0.2, count: 4 },
            (true, ..=15) => Starts { first: -0.3, step: 0.5, count: 3 },
            (true, _) => Starts { first: -0.3, step: 0.3, count: 3 },
            (false, ..=7) => Starts { first: -1.2, step: 0.3, count: 11 },
            (false, ..=15) => Starts { first: -1.4, step: 0.45, count: 8 },
            (false, ..=31) => Starts { first: -0.9, step: 0.4, count: 6 },
            (false, ..=63) => Starts { first: -0.9, step: 0.4, count: 5 },
            // The book: entries are 9 to 24 apart. Or eight bits, where clipping never pays.
            (false, ..=253) => Starts { first: -12.0, step: 5.0, count: 9 },
            (false, _) => Starts { first: -1.0, step: 0.3, count: 6 },
        }
    }
}
