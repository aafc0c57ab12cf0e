//! Scores, softmax, weighted sum: the heart of every attention.
//!
//! A job takes several queries through the keys together, so that a key is read from memory once
//! for all of them. The context is cut into splits at fixed positions. Of every split a query
//! gets a part: its largest score, the sum of its weights, the weighted sum of values. Parts are
//! added up in the order of positions, rescaled to the larger of two largest scores (Milakov and
//! Gimelshein, arXiv 1805.02867; Dao et al., "FlashAttention", arXiv 2205.14135, section 3.1;
//! "Flash-Decoding for long-context inference", 2023). So what a query gets depends on the keys it
//! sees alone: not on its companions, nor on the chunk it came in, nor on which thread made a part.
//!
//! - `view`: what a query sees; blocks of neighbouring keys
//! - `queries`: query rows in the forms that keys ask for; those turned back for sinks
//! - `choice`: the pages that a query attends, where they are limited
//! - `sums`: what queries have gathered

mod choice;
mod queries;
mod sums;
mod view;

use std::ops::Range;

use crate::kernels::{Kernels, Queries};
use crate::program::SPLIT;

pub(super) use choice::{PageChoice, Pages};
pub(super) use queries::{KeyForm, QueryRoom, turn_back};
pub(super) use sums::{Record, Sums, SumsMut};
pub(super) use view::{Block, View, block_at, blocks_of, splits_of};

/// What becomes of a score before the softmax.
#[derive(Clone, Copy)]
pub(super) struct Scoring {
    pub scale: f32,
    pub soft_cap: Option<f32>,
}

/// Queries on their way through the keys.
pub(super) struct Attend<'a> {
    pub kernels: &'a Kernels,
    pub scoring: Scoring,
    pub value_dim: usize,
    /// One a query.
    pub views: &'a [View],
    pub queries: Queries<'a>,
    /// The queries for keys behind a gap; without rows if there are none.
    pub turned: Queries<'a>,
    /// Which pages the queries see, where they choose.
    pub pages: Option<Pages<'a>>,
    /// Room for [`SPLIT`] scores of every query.
    pub scores: &'a mut [f32],
    pub record: Option<Record<'a>>,
}

impl Attend<'_> {
    /// What the queries get of the keys at `positions`, which are in one split that begins at
    /// `positions.start`. `blocks` gives their blocks, in order, whenever it is called.
    pub fn part<'b, B: Iterator<Item = Block<'b>>>(
        &mut self,
        positions: Range<usize>,
        blocks: impl Fn() -> B,
        part: &mut SumsMut<'_>,
    ) {
        debug_assert!(positions.len() <= SPLIT);
        let count = self.views.len();
        self.scores[..count * SPLIT].fill(f32::NEG_INFINITY);
        let mut turned = false;
        for block in blocks() {
            turned = block.turned;
            self.alike(&block, |attend, seen, queries| {
                let at = queries.start * SPLIT + block.first + seen.start - positions.start;
                let rows = if block.turned { attend.turned } else { attend.queries };
                let rows = rows.slice(queries.start, queries.len());
                let keys = block.keys.from_row(seen.start);
                attend.kernels.scores(rows, keys, seen.len(), &mut attend.scores[at..], SPLIT);
                attend.cap(at, queries.len(), seen.len());
            });
        }
        for query in 0..count {
            (part.largest[query], part.totals[query]) = self.weigh(query, &positions, turned);
        }
        part.values[..count * self.value_dim].fill(0.0);
        for block in blocks() {
            self.alike(&block, |attend, seen, queries| {
                let at = queries.start * SPLIT + block.first + seen.start - positions.start;
                let dim = attend.value_dim;
                let sums = &mut part.values[queries.start * dim..queries.end * dim];
                let values = block.values.from_row(seen.start);
                let weights = &attend.scores[at..];
                attend.kernels.accumulate(weights, SPLIT, values, seen.len(), sums, dim);
            });
        }
    }

    /// Caps `count` scores of each of some queries, where the model does.
    fn cap(&mut self, at: usize, queries: usize, count: usize) {
        let Scoring { scale, soft_cap: Some(cap) } = self.scoring else { return };
        for scores in self.scores[at..].chunks_mut(SPLIT).take(queries) {
            self.kernels.scale(&mut scores[..count], scale);
            self.kernels.soft_cap(&mut scores[..count], cap);
        }
    }

    /// Calls `each` with what neighbouring queries that see the same of a block see of it, as a
    /// range of the block's rows.
    fn alike(
        &mut self,
        block: &Block<'_>,
        mut each: impl FnMut(&mut Self, Range<usize>, Range<usize>),
    ) {
        let mut from = 0;
        while from < self.views.len() {
            let seen = self.seen(block, from);
            let more = (from + 1..self.views.len()).take_while(|&to| self.seen(block, to) == seen);
            let to = from + 1 + more.count();
            if !seen.is_empty() {
                each(self, seen, from..to);
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

    /// Turns the scores of a query for keys at `positions` into weights. Returns the largest score
    /// and the sum of the weights. What the query does not see weighs nothing.
    fn weigh(&mut self, query: usize, positions: &Range<usize>, turned: bool) -> (f32, f32) {
        let view = &self.views[query];
        let sees = if turned { 0..view.sinks } else { view.from..view.to };
        let (from, to) = (sees.start.max(positions.start), sees.end.min(positions.end));
        if from >= to {
            return (f32::NEG_INFINITY, 0.0);
        }
        let scores = &mut self.scores[query * SPLIT..][..to - positions.start];
        if self.scoring.soft_cap.is_none() {
            self.kernels.scale(scores, self.scoring.scale);
        }
        if let Some(record) = self.record.as_mut().filter(|_| !turned) {
            record.keep(query, from, &scores[from - positions.start..]);
        }
        let largest = self.kernels.largest(scores);
        if largest == f32::NEG_INFINITY {
            return (largest, 0.0);
        }
        (largest, self.kernels.exp_minus(scores, largest))
    }
}
