//! Bidirectional attention: keys and values of a span lie in their buffers, nothing is cached.

use std::ops::Range;

use edgeformer_core::Rows;
use edgeformer_core::graph::{self, Value};

use super::attend::{Attend, KeyForm, Scoring, View, blocks_of, splits_of};
use super::attention::{lock, seen_by_any};
use super::grouped::{deliver_sums, load_queries};
use super::run::Executor;
use super::tiles::{Places, QueryTile, head_columns, query_tiles};
use crate::cache::KvRun;
use crate::kernels::KvRows;
use crate::program::Jobs;

/// Scores times widths that one thread does faster than it can wake another.
const WORTH_SHARING: usize = 1 << 16;

impl Executor<'_> {
    pub(super) fn attend_both_sides(
        &mut self,
        attention: &graph::Attention,
        inputs: &[Value],
        output: Value,
    ) {
        let kind = self.program.model.graph.values[inputs[0].index()].rows;
        let jobs = Jobs::grouped(attention);
        let scoring = Scoring { scale: attention.scale, soft_cap: attention.soft_cap };
        let (kernels, rows) = (self.kernels, self.rows);
        let compact = self.memory.is_compact(output);
        let width = self.memory.width(output);

        let mut lent = self.memory.take(output);
        let [q, k, v] = [0, 1, 2].map(|index| self.memory.read(inputs[index]));
        let worthwhile = lent.data().len() * self.longest_span(kind) >= WORTH_SHARING;
        let mut rest = lent.data();
        let tiles = query_tiles(rows, kind, compact, jobs.rows).flat_map(|tile| {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(tile.rows * width);
            rest = others;
            let columns = jobs.heads * jobs.value_dim;
            head_columns(own, width, columns).map(move |(head, out)| (tile, head, out))
        });
        let threads = &self.scratch.threads;
        self.pool.for_each_if(worthwhile, tiles, |thread, (tile, head, mut out)| {
            let mut scratch = lock(&threads[thread]);
            load_queries(&jobs, q, &tile, head, &mut scratch);
            let span = rows.range(kind, tile.span);
            look(attention, &jobs, &tile, span.len(), &mut scratch.views);
            let seen = seen_by_any(&scratch.views);
            let queries = tile.rows * jobs.heads;
            scratch.sums.begin(queries, jobs.value_dim);
            let scratch = &mut *scratch;
            let form = KeyForm::default();
            let mut attend = Attend {
                kernels,
                scoring,
                value_dim: jobs.value_dim,
                views: &scratch.views,
                queries: scratch.queries.rows(form, queries, jobs.key_dim),
                turned: scratch.turned.rows(form, 0, jobs.key_dim),
                pages: None,
                scores: &mut scratch.scores,
                record: None,
            };
            let mut part = scratch.part.view(queries, jobs.value_dim);
            for (first, seen) in splits_of(seen) {
                let blocks = || {
                    let run = KvRun {
                        first: seen.start,
                        len: seen.len(),
                        keys: head_rows(k, span.start + seen.start, head, jobs.key_dim),
                        values: head_rows(v, span.start + seen.start, head, jobs.value_dim),
                        seen_by: 0..usize::MAX,
                    };
                    blocks_of(run, usize::MAX, false)
                };
                attend.part(first..seen.end, blocks, &mut part);
                scratch.sums.fold(kernels, 0, &part, jobs.value_dim);
            }
            scratch.sums.finish(kernels, 0..queries, jobs.value_dim);
            deliver_sums(&tile, scratch, &Places::InOrder, &mut out);
        });
        self.memory.put_back(output, lent);
    }
}

/// What each query of a tile sees of a span of `len` positions.
fn look(
    attention: &graph::Attention,
    jobs: &Jobs,
    tile: &QueryTile,
    len: usize,
    views: &mut Vec<View>,
) {
    let window = attention.window.unwrap_or(usize::MAX);
    views.clear();
    views.extend((0..tile.rows * jobs.heads).map(|query| {
        let position = tile.position + query / jobs.heads;
        let seen: Range<usize> =
            (position + 1).saturating_sub(window)..position.saturating_add(window).min(len);
        View { position, from: seen.start, to: seen.end, sinks: 0 }
    }));
}

/// The rows of a head from row `first` on.
fn head_rows(rows: Rows<'_>, first: usize, head: usize, dim: usize) -> KvRows<'_> {
    let start = first * rows.width() + head * dim;
    KvRows::F32 { data: &rows.data()[start..], stride: rows.width() }
}
