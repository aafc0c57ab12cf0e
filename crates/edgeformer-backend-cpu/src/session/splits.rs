//! Few queries, long contexts: threads share out the splits of a context, all query heads of a
//! key-value head meet a split together, and what they get is added up in the order of positions.
//! A step that decodes one sequence is done like this.

use edgeformer_core::graph::{RowKind, Value};

use super::attend::{Attend, splits_of};
use super::attention::{Attention, lock, seen_by_any};
use super::run::Executor;
use super::scratch::SplitScratch;
use super::tiles::{Places, QueryTile, head_columns, query_tiles};
use crate::program::SPLIT;

/// Jobs for each thread that are enough to keep all busy to the end.
const JOBS: usize = 4;

impl Executor<'_> {
    /// Whether contexts are shared out: jobs are too few, and queries see all there is of a
    /// context of several splits.
    pub(super) fn shares_contexts(
        &self,
        attention: &impl Attention,
        kind: RowKind,
        output: Value,
    ) -> bool {
        let threads = self.pool.threads();
        if threads == 1 || self.sight.sinks > 0 || self.sight.attend_pages.is_some() {
            return false;
        }
        let blocks = self.memory.width(output) / attention.columns();
        let compact = self.memory.is_compact(output);
        let tiles = query_tiles(self.rows, kind, compact, attention.jobs().rows);
        let jobs = blocks * tiles.filter(|tile| attention.takes(tile.span)).count();
        jobs < JOBS * threads && self.longest_span(kind) > SPLIT
    }

    /// Takes all queries of the step through their keys, tile by tile.
    pub(super) fn attend_splits(
        &self,
        attention: &impl Attention,
        kind: RowKind,
        output: Value,
        out: &mut [f32],
    ) {
        let width = self.memory.width(output);
        let room = &mut *self.scratch.splits.lock().unwrap_or_else(|e| e.into_inner());
        let compact = self.memory.is_compact(output);
        let mut rest = out;
        for tile in query_tiles(self.rows, kind, compact, attention.split_jobs().rows) {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(tile.rows * width);
            rest = others;
            if attention.takes(tile.span) {
                self.load_tile(attention, &tile, room);
                self.gather_tile(attention, &tile, room);
                self.deliver_tile(attention, &tile, room, own);
            }
        }
    }

    /// Fills `room.queries`: key-value head by key-value head, row by row, head by head.
    fn load_tile(&self, attention: &impl Attention, tile: &QueryTile, room: &mut SplitScratch) {
        let (jobs, own) = (attention.jobs(), attention.split_jobs());
        let count = tile.rows * own.heads;
        let width = own.readers * own.key_dim;
        let columns = jobs.heads * own.key_dim;
        let groups = room.queries.floats[..count * own.key_dim].chunks_exact_mut(tile.rows * width);
        let blocks = groups.enumerate().flat_map(|(group, queries)| {
            head_columns(queries, width, columns)
                .map(move |(block, queries)| (group * (width / columns) + block, queries))
        });
        let threads = &self.scratch.threads;
        self.pool.for_each_if(attention.projects(), blocks, |thread, (block, mut queries)| {
            let mut scratch = lock(&threads[thread]);
            attention.load(tile, block, &mut scratch);
            for (row, loaded) in scratch.queries.floats.chunks(columns).take(tile.rows).enumerate()
            {
                queries.row_mut(row).copy_from_slice(loaded);
            }
        });
        let form = self.shared(attention).key_form(attention.slot());
        room.queries.prepare(self.kernels, form, count, own.key_dim);
    }

    /// Fills `room.sums`.
    fn gather_tile(&self, attention: &impl Attention, tile: &QueryTile, room: &mut SplitScratch) {
        let SplitScratch { queries, views, parts, sums } = room;
        let (shared, slot) = (self.shared(attention), attention.slot());
        let own = attention.split_jobs();
        let (count, dim) = (tile.rows * own.readers, own.value_dim);
        let kv_heads = own.heads / own.readers;
        views.clear();
        for head in 0..kv_heads {
            let heads = head * own.readers..(head + 1) * own.readers;
            shared.look(slot, tile, (heads, head), None, views);
        }
        sums.begin(tile.rows * own.heads, dim);

        let rows = queries.rows(shared.key_form(slot), tile.rows * own.heads, own.key_dim);
        let threads = &self.scratch.threads;
        let mut splits = splits_of(seen_by_any(views)).peekable();
        let round = parts.totals.len() / (count * kv_heads);
        while splits.peek().is_some() {
            let heads = |split: (usize, _)| (0..kv_heads).map(move |head| (split.clone(), head));
            let jobs = splits.clone().take(round).flat_map(heads);
            let jobs = jobs.zip(parts.chunks(count, dim));
            self.pool.for_each(jobs, |thread, (((first, positions), head), mut part)| {
                let scratch = &mut *lock(&threads[thread]);
                let mut attend = Attend {
                    kernels: self.kernels,
                    scoring: attention.scoring(),
                    value_dim: dim,
                    views: &views[head * count..][..count],
                    queries: rows.slice(head * count, count),
                    turned: rows.slice(0, 0),
                    pages: None,
                    scores: &mut scratch.scores,
                    record: None,
                };
                let blocks = || shared.blocks(attention, tile, head, positions.clone(), false);
                attend.part(first..positions.end, blocks, &mut part);
            });
            let done = splits.by_ref().take(round).count();
            let heads = (0..done).flat_map(|_| 0..kv_heads);
            for (head, part) in heads.zip(parts.chunks(count, dim)) {
                sums.fold(self.kernels, head * count, &part, dim);
            }
        }
        sums.finish(self.kernels, 0..tile.rows * own.heads, dim);
    }

    /// Writes what the queries have gathered.
    fn deliver_tile(
        &self,
        attention: &impl Attention,
        tile: &QueryTile,
        room: &SplitScratch,
        out: &mut [f32],
    ) {
        let (jobs, own) = (attention.jobs(), attention.split_jobs());
        let width = own.readers * own.value_dim;
        let columns = jobs.heads * own.value_dim;
        let blocks = own.readers / jobs.heads;
        let width_out = out.len() / tile.rows;
        let outputs = head_columns(out, width_out, attention.columns());
        let threads = &self.scratch.threads;
        self.pool.for_each_if(attention.projects(), outputs, |thread, (block, mut out)| {
            let mut scratch = lock(&threads[thread]);
            let (group, block_of_group) = (block / blocks, block % blocks);
            for row in 0..tile.rows {
                let from = (group * tile.rows + row) * width + block_of_group * columns;
                let gathered = &room.sums.values[from..from + columns];
                scratch.sums.values[row * columns..][..columns].copy_from_slice(gathered);
            }
            attention.deliver(tile, block, &mut scratch, &Places::InOrder, &mut out);
        });
    }
}
