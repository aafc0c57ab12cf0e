//! Scores, softmax, weighted sum: the heart of every attention.
//!
//! A job takes several queries through the keys together, block by block, so that a key is read
//! from memory once for all of them. A query keeps the largest score so far, the sum of weights
//! and the weighted sum of values, and rescales them when a larger score comes (Milakov and
//! Gimelshein, arXiv 1805.02867; Dao et al., "FlashAttention", arXiv 2205.14135, section 3.1).
//! Blocks begin at fixed places of a page. So what a query gets depends on the keys it sees alone,
//! in the order of their positions: not on its companions, nor on the chunk it came in.
//!
//! - `view`: what a query sees; blocks of neighbouring keys
//! - `queries`: query rows in the forms that keys ask for; those turned back for sinks
//! - `choice`: the pages that a query attends, where they are limited

mod choice;
mod queries;
mod view;

use std::ops::Range;

use crate::kernels::{Kernels, Queries};
use crate::program::{Jobs, KEYS};

pub(super) use choice::{PageChoice, Pages};
pub(super) use queries::{KeyForm, QueryRoom, turn_back};
pub(super) use view::{Block, View, blocks_of, sink_blocks_of};

/// What becomes of a score before the softmax.
#[derive(Clone, Copy)]
pub(super) struct Scoring {
    pub scale: f32,
    pub soft_cap: Option<f32>,
}

/// What queries have gathered so far.
#[derive(Default)]
pub(super) struct Sums {
    /// [`KEYS`] for each query of a job.
    pub scores: Vec<f32>,
    /// The largest score of each query.
    pub largest: Vec<f32>,
    /// The sum of each query's weights.
    pub totals: Vec<f32>,
    /// The weighted sum of values of each query.
    pub values: Vec<f32>,
}

/// Scores that are kept: `stride` for each query, the first for position `base`.
pub(super) struct Record<'a> {
    pub scores: &'a mut [f32],
    pub stride: usize,
    pub base: usize,
}

impl Sums {
    /// Forgets everything about the first `queries`.
    pub fn begin(&mut self, queries: usize, value_dim: usize) {
        self.largest[..queries].fill(f32::NEG_INFINITY);
        self.totals[..queries].fill(0.0);
        self.values[..queries * value_dim].fill(0.0);
    }

    /// Makes weighted means of the sums of `queries`.
    pub fn finish(&mut self, kernels: &Kernels, queries: Range<usize>, value_dim: usize) {
        for query in queries {
            let values = &mut self.values[query * value_dim..][..value_dim];
            kernels.scale(values, 1.0 / self.totals[query]);
        }
    }
}

/// Queries on their way through the keys.
pub(super) struct Attend<'a> {
    pub kernels: &'a Kernels,
    pub jobs: &'a Jobs,
    pub scoring: Scoring,
    /// One a query.
    pub views: &'a [View],
    pub queries: Queries<'a>,
    /// The queries for keys behind a gap; without rows if there are none.
    pub turned: Queries<'a>,
    /// Which pages the queries see, where they choose.
    pub pages: Option<Pages<'a>>,
    pub sums: &'a mut Sums,
    /// Of `sums`, the place of the first query.
    pub first: usize,
    pub record: Option<Record<'a>>,
}

impl Attend<'_> {
    /// Takes the queries through a block of keys.
    pub fn meet(&mut self, block: &Block<'_>) {
        let mut from = 0;
        while from < self.views.len() {
            let seen = self.seen(block, from);
            let more = (from + 1..self.views.len()).take_while(|&to| self.seen(block, to) == seen);
            let to = from + 1 + more.count();
            if !seen.is_empty() {
                self.meet_alike(block, seen, from..to);
            }
            from = to;
        }
    }

    /// What a query sees of a block, as a range of the block's rows.
    fn seen(&self, block: &Block<'_>, query: usize) -> Range<usize> {
        let seen = block.seen(&self.views[query]);
        let chosen = |pages: &Pages<'_>| block.turned || pages.sees(query, block.first);
        if self.pages.as_ref().is_none_or(chosen) { seen } else { 0..0 }
    }

    /// Takes queries that see the same of a block through it.
    fn meet_alike(&mut self, block: &Block<'_>, seen: Range<usize>, queries: Range<usize>) {
        let rows = if block.turned { self.turned } else { self.queries };
        let keys = block.keys.from_row(seen.start);
        let count = seen.len();
        let scores = &mut self.sums.scores[..queries.len() * KEYS];
        self.kernels.scores(rows.slice(queries.start, queries.len()), keys, count, scores, KEYS);

        let value_dim = self.jobs.value_dim;
        for (query, scores) in queries.clone().zip(scores.chunks_exact_mut(KEYS)) {
            let scores = &mut scores[..count];
            self.kernels.scale(scores, self.scoring.scale);
            if let Some(cap) = self.scoring.soft_cap {
                self.kernels.soft_cap(scores, cap);
            }
            if let Some(record) = self.record.as_mut().filter(|_| !block.turned) {
                let at = query * record.stride + block.first + seen.start - record.base;
                record.scores[at..at + count].copy_from_slice(scores);
            }
            let at = self.first + query;
            let (before, total) = (self.sums.largest[at], &mut self.sums.totals[at]);
            let largest = before.max(self.kernels.largest(scores));
            if largest > before {
                self.sums.largest[at] = largest;
                if *total != 0.0 {
                    let shrunk = (before - largest).exp();
                    *total *= shrunk;
                    let values = &mut self.sums.values[at * value_dim..][..value_dim];
                    self.kernels.scale(values, shrunk);
                }
            }
            *total += self.kernels.exp_minus(scores, largest);
        }
        let at = (self.first + queries.start) * value_dim;
        let sums = &mut self.sums.values[at..at + queries.len() * value_dim];
        let values = block.values.from_row(seen.start);
        self.kernels.accumulate(&self.sums.scores, KEYS, values, count, sums, value_dim);
    }
}

impl Record<'_> {
    /// Turns the kept scores of a query into its attention on the positions of its window.
    pub fn weights(&mut self, kernels: &Kernels, sums: &Sums, query: usize, view: &View) -> &[f32] {
        let start = query * self.stride + view.from - self.base;
        let scores = &mut self.scores[start..start + view.to - view.from];
        kernels.exp_minus(scores, sums.largest[query]);
        kernels.scale(scores, 1.0 / sums.totals[query]);
        scores
    }
}
