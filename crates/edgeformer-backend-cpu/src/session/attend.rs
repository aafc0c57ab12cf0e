//! Scores, softmax, weighted sum: the heart of every attention.
//!
//! A job takes several queries through the keys together, block by block, so that a key is read
//! from memory once for all of them. What a query gets depends on the keys it sees alone, in the
//! order of their positions: not on blocks, nor on its companions.

use std::ops::Range;

use crate::kernels::{Kernels, KvRows};
use crate::program::Jobs;

use super::scratch::ThreadScratch;

/// Rows of keys or values.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a>(pub KvRows<'a>);

/// Keys and values of neighbouring positions.
pub(super) struct Block<'a> {
    /// The first position.
    pub first: usize,
    pub len: usize,
    pub keys: Strided<'a>,
    pub values: Strided<'a>,
}

/// What becomes of a score before the softmax.
#[derive(Clone, Copy)]
pub(super) struct Scoring {
    pub scale: f32,
    pub soft_cap: Option<f32>,
}

impl Strided<'_> {
    /// `out[i]` = `query` times row `first + i`.
    fn dots(&self, kernels: &Kernels, query: &[f32], first: usize, out: &mut [f32]) {
        for (index, out) in out.iter_mut().enumerate() {
            *out = match self.0.from_row(first + index) {
                KvRows::F32 { data, .. } => kernels.dot_f32(query, &data[..query.len()]),
                KvRows::F16 { data, .. } => kernels.dot_f16(query, &data[..query.len()]),
                _ => unreachable!("sessions refuse quantized keys"),
            };
        }
    }

    /// `sum` += `weights[i]` times row `first + i`.
    fn add_weighted(&self, kernels: &Kernels, weights: &[f32], first: usize, sum: &mut [f32]) {
        for (index, &weight) in weights.iter().enumerate() {
            match self.0.from_row(first + index) {
                KvRows::F32 { data, .. } => kernels.axpy_f32(weight, &data[..sum.len()], sum),
                KvRows::F16 { data, .. } => kernels.axpy_f16(weight, &data[..sum.len()], sum),
                _ => unreachable!("sessions refuse quantized values"),
            }
        }
    }
}

/// Takes the first `queries` of `scratch.queries` through the keys: `scratch.sums` get the
/// weighted values. `visible` says which positions a query sees, `blocks` lends them.
pub(super) fn attend<'a, I: Iterator<Item = Block<'a>>>(
    kernels: &Kernels,
    jobs: &Jobs,
    scoring: Scoring,
    queries: usize,
    visible: impl Fn(usize) -> Range<usize>,
    blocks: impl Fn(Range<usize>) -> I,
    scratch: &mut ThreadScratch,
) {
    let &Jobs { key_dim, value_dim, visible: limit, .. } = jobs;
    let ThreadScratch { queries: query_rows, scores, sums, .. } = scratch;
    let from = (0..queries).map(|query| visible(query).start).min().unwrap_or(0);
    let to = (0..queries).map(|query| visible(query).end).max().unwrap_or(0);

    for block in blocks(from..to) {
        for query in 0..queries {
            let (seen, at) = overlap(&block, visible(query));
            let scores = &mut scores[query * limit + at..][..seen.len()];
            let row = &query_rows[query * key_dim..][..key_dim];
            block.keys.dots(kernels, row, seen.start - block.first, scores);
        }
    }
    for query in 0..queries {
        let scores = &mut scores[query * limit..][..visible(query).len()];
        kernels.scale(scores, scoring.scale);
        if let Some(cap) = scoring.soft_cap {
            kernels.soft_cap(scores, cap);
        }
        kernels.softmax(scores);
    }
    sums[..queries * value_dim].fill(0.0);
    for block in blocks(from..to) {
        for query in 0..queries {
            let (seen, at) = overlap(&block, visible(query));
            let weights = &scores[query * limit + at..][..seen.len()];
            let sum = &mut sums[query * value_dim..][..value_dim];
            block.values.add_weighted(kernels, weights, seen.start - block.first, sum);
        }
    }
}

/// What a query sees of a block, and where that begins among all it sees.
fn overlap(block: &Block<'_>, visible: Range<usize>) -> (Range<usize>, usize) {
    let start = visible.start.max(block.first);
    let end = visible.end.min(block.first + block.len).max(start);
    // Of an empty overlap no place is asked for beyond the first.
    let at = if start == end { 0 } else { start - visible.start };
    (if start == end { block.first..block.first } else { start..end }, at)
}
