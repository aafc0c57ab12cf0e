//! What all attention has in common: queries are cut into jobs, jobs meet keys block by block.

use std::ops::Range;
use std::sync::Mutex;

use edgeformer_core::SequenceId;
use edgeformer_core::graph::{CacheSlot, RowKind, Value};

use super::attend::{
    Attend, Block, KeyForm, Record, Scoring, View, blocks_of, splits_of, turn_back,
};
use super::rows::StepRows;
use super::run::Executor;
use super::scratch::ThreadScratch;
use super::sight::Sight;
use super::tiles::{Places, QueryTile, head_columns, query_tiles, tiles_of};
use super::watch::{Bound, Gather, Watch};
use crate::cache::{KvRun, PagedCache};
use crate::kernels::{ColumnsMut, Kernels};
use crate::program::{Jobs, QueryRope, SplitJobs};

/// Scores times widths that one thread does faster than it can wake another.
const WORTH_SHARING: usize = 1 << 16;

/// One kind of attention over cached keys.
pub(super) trait Attention: Sync {
    fn jobs(&self) -> &Jobs;

    /// How contexts are shared out where there are few jobs.
    fn split_jobs(&self) -> SplitJobs;

    /// Whether loading and delivering are products, which threads had better share.
    fn projects(&self) -> bool;

    fn scoring(&self) -> Scoring;

    /// Where its keys are cached.
    fn slot(&self) -> CacheSlot;

    /// Whether it takes the queries of a span.
    fn takes(&self, span: usize) -> bool {
        let _all = span;
        true
    }

    /// The cached head that a block of query heads reads.
    fn kv_head(&self, block: usize) -> usize;

    /// How its queries were turned, and the column from which on.
    fn rope(&self) -> Option<(QueryRope, usize)>;

    /// Columns of the output that a block of heads makes.
    fn columns(&self) -> usize;

    /// Whether values are parts of the keys.
    fn values_are_keys(&self) -> bool;

    /// Fills `scratch.queries` with the queries of a tile, row after row, the block's heads side
    /// by side.
    fn load(&self, tile: &QueryTile, block: usize, scratch: &mut ThreadScratch);

    /// Writes what the queries have gathered in `scratch.sums`.
    fn deliver(
        &self,
        tile: &QueryTile,
        block: usize,
        scratch: &mut ThreadScratch,
        places: &Places<'_>,
        out: &mut ColumnsMut<'_>,
    );
}

/// What the jobs of a step share.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub kernels: &'static Kernels,
    pub rows: &'a StepRows,
    pub cache: &'a PagedCache,
    pub sight: &'a Sight,
    /// Radians a position, of the rope that turned the queries.
    pub frequencies: &'a [f32],
    /// Entries are evicted: positions before the oldest are not there.
    pub evicting: bool,
}

impl Executor<'_> {
    /// Takes all queries of the step through their keys.
    pub(super) fn attend(
        &self,
        attention: &impl Attention,
        kind: RowKind,
        output: Value,
        out: &mut [f32],
        watch: &mut Watch,
    ) {
        match watch {
            Watch::Nothing => self.attend_unwatched(attention, kind, output, out),
            watch => self.attend_watched(attention, kind, output, out, watch),
        }
    }

    pub(super) fn shared(&self, attention: &impl Attention) -> Shared<'_> {
        let frequencies = attention
            .rope()
            .map_or(&[][..], |(rope, _)| &self.scratch.ropes[rope.table].frequencies);
        Shared {
            kernels: self.kernels,
            rows: self.rows,
            cache: &self.cache.pages,
            sight: self.sight,
            frequencies,
            evicting: false,
        }
    }

    fn attend_unwatched(
        &self,
        attention: &impl Attention,
        kind: RowKind,
        output: Value,
        out: &mut [f32],
    ) {
        let shared = self.shared(attention);
        let jobs = attention.jobs();
        let width = self.memory.width(output);
        let worthwhile = out.len() * self.longest_span(kind) >= WORTH_SHARING;
        let compact = self.memory.is_compact(output);
        if worthwhile && self.shares_contexts(attention, kind, output) {
            return self.attend_splits(attention, kind, output, out);
        }
        let mut rest = out;
        let tiles = query_tiles(self.rows, kind, compact, jobs.rows).flat_map(|tile| {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(tile.rows * width);
            rest = others;
            head_columns(own, width, attention.columns())
                .map(move |(block, out)| (tile, block, out))
        });
        let tiles = tiles.filter(|(tile, ..)| attention.takes(tile.span));
        let threads = &self.scratch.threads;
        self.pool.for_each_if(worthwhile, tiles, |thread, (tile, block, mut out)| {
            let mut scratch = lock(&threads[thread]);
            let job = Job { shared, attention, tile, block, bound: None };
            job.run(&mut scratch, None);
            attention.deliver(&tile, block, &mut scratch, &Places::InOrder, &mut out);
        });
    }

    /// Span by span, segment by segment, every block of heads on one thread: see
    /// [`watch`](super::watch).
    fn attend_watched(
        &self,
        attention: &impl Attention,
        kind: RowKind,
        output: Value,
        out: &mut [f32],
        watch: &mut Watch,
    ) {
        let width = self.memory.width(output);
        let (slot, rows) = (attention.slot(), self.rows);
        let jobs = attention.jobs();
        let places = Places::of(rows, self.memory.is_compact(output));
        let evicting = matches!(watch, Watch::Votes(_));
        let shared = Shared { evicting, ..self.shared(attention) };
        let threads = &self.scratch.threads;
        for (index, span) in rows.spans().iter().enumerate() {
            let (mut at, end) = (span.first, span.first + rows.range(kind, index).len());
            while at < end {
                let to = watch.segment_end(at, end);
                let segment = at..to;
                let bound = watch.bound(slot, span.sequence);
                let gathers = watch.gather(slot, span.sequence, segment.clone(), jobs.heads);
                let items = head_columns(out, width, attention.columns()).zip(gathers);
                self.pool.for_each(items, |thread, ((block, mut out), mut gather)| {
                    let mut scratch = lock(&threads[thread]);
                    for tile in tiles_of(rows, kind, index, segment.clone(), jobs.rows) {
                        let job = Job { shared, attention, tile, block, bound };
                        job.run(&mut scratch, Some(&mut gather));
                        attention.deliver(&tile, block, &mut scratch, &places, &mut out);
                    }
                });
                watch.segment_done(slot, span.sequence, segment);
                at = to;
            }
        }
    }

    /// Positions of the span that sees most.
    pub(super) fn longest_span(&self, kind: RowKind) -> usize {
        let spans = self.rows.spans().iter().enumerate();
        spans
            .map(|(index, span)| span.first + self.rows.range(kind, index).len())
            .max()
            .unwrap_or(0)
    }
}

/// A tile of query rows and a block of heads.
struct Job<'a, A> {
    shared: Shared<'a>,
    attention: &'a A,
    tile: QueryTile,
    block: usize,
    bound: Option<Bound>,
}

impl<A: Attention> Job<'_, A> {
    fn run(&self, scratch: &mut ThreadScratch, gather: Option<&mut Gather<'_>>) {
        let jobs = self.attention.jobs();
        let queries = self.tile.rows * jobs.heads;
        self.attention.load(&self.tile, self.block, scratch);
        self.look(&mut scratch.views);
        let form = self.shared.key_form(self.attention.slot());
        let behind_gap = scratch.views.iter().any(|view| view.sinks > 0);
        if behind_gap {
            self.turn(scratch);
            scratch.turned.prepare(self.shared.kernels, form, queries, jobs.key_dim);
        }
        scratch.queries.prepare(self.shared.kernels, form, queries, jobs.key_dim);
        let chosen = self.choose_pages(scratch);

        let ThreadScratch {
            queries: room,
            turned,
            views,
            sums,
            scores,
            part,
            recorded,
            choice,
            ..
        } = scratch;
        sums.begin(queries, jobs.value_dim);
        let seen = seen_by_any(views);
        let stride = recorded.len() / jobs.queries().max(1);
        let base = seen.start;
        let record = gather.is_some().then(|| Record { scores: recorded, stride, base });
        let kernels = self.shared.kernels;
        let mut attend = Attend {
            kernels,
            scoring: self.attention.scoring(),
            value_dim: jobs.value_dim,
            views,
            queries: room.rows(form, queries, jobs.key_dim),
            turned: turned.rows(form, if behind_gap { queries } else { 0 }, jobs.key_dim),
            pages: chosen.then(|| choice.view(self.shared.cache.page_tokens(), jobs.heads)),
            scores,
            record,
        };
        let mut part = part.view(queries, jobs.value_dim);
        let sinks = if behind_gap { self.shared.sight.sinks } else { 0 };
        for (positions, turned) in [(0..sinks, true), (seen, false)] {
            for (first, positions) in splits_of(positions) {
                let blocks = || self.blocks(positions.clone(), turned);
                attend.part(first..positions.end, blocks, &mut part);
                sums.fold(kernels, 0, &part, jobs.value_dim);
            }
        }
        let record = attend.record;
        if let Some((gather, mut record)) = gather.zip(record) {
            for (query, view) in views.iter().enumerate() {
                let weights = record.weights(self.shared.kernels, sums, query, view);
                gather.add(view, query % jobs.heads, weights);
            }
        }
        sums.finish(self.shared.kernels, 0..queries, jobs.value_dim);
    }

    /// What each query sees.
    fn look(&self, views: &mut Vec<View>) {
        let &Jobs { heads, .. } = self.attention.jobs();
        let kv_head = self.attention.kv_head(self.block);
        let heads = self.block * heads..(self.block + 1) * heads;
        views.clear();
        self.shared.look(self.attention.slot(), &self.tile, (heads, kv_head), self.bound, views);
    }

    fn sequence(&self) -> SequenceId {
        self.shared.rows.spans()[self.tile.span].sequence
    }

    /// Fills `scratch.turned` with the queries, turned back by their gaps.
    fn turn(&self, scratch: &mut ThreadScratch) {
        let key_dim = self.attention.jobs().key_dim;
        let Some((rope, column)) = self.attention.rope() else { return };
        let ThreadScratch { queries, turned, views, .. } = scratch;
        let floats = &mut turned.floats[..views.len() * key_dim];
        floats.copy_from_slice(&queries.floats[..views.len() * key_dim]);
        for (query, view) in floats.chunks_exact_mut(key_dim).zip(views) {
            turn_back(&mut query[column..], &rope, self.shared.frequencies, view.gap());
        }
    }

    /// Lets every row choose its pages, where they are limited.
    fn choose_pages(&self, scratch: &mut ThreadScratch) -> bool {
        let Some(keep) = self.shared.sight.attend_pages else { return false };
        let (cache, slot, sequence) = (self.shared.cache, self.attention.slot(), self.sequence());
        let head = self.attention.kv_head(self.block);
        let &Jobs { heads, key_dim, .. } = self.attention.jobs();
        for row in 0..self.tile.rows {
            let queries = &scratch.queries.floats[row * heads * key_dim..][..heads * key_dim];
            let from = seen_by_any(&scratch.views[row * heads..][..heads]).start;
            let own_page = (self.tile.position + row) / cache.page_tokens();
            let pages = from / cache.page_tokens()..own_page;
            let bounds = |page| cache.bounds(slot, head, sequence, page);
            scratch.choice.choose(row, pages, keep, queries, key_dim, bounds);
        }
        true
    }

    /// The blocks of keys at `positions`, in order.
    fn blocks(&self, positions: Range<usize>, turned: bool) -> impl Iterator<Item = Block<'_>> {
        let head = self.attention.kv_head(self.block);
        self.shared.blocks(self.attention, &self.tile, head, positions, turned)
    }
}

impl<'a> Shared<'a> {
    /// Appends what the queries of a tile see of a key-value head: row by row, those of `heads`.
    pub fn look(
        &self,
        slot: CacheSlot,
        tile: &QueryTile,
        (heads, kv_head): (Range<usize>, usize),
        bound: Option<Bound>,
        views: &mut Vec<View>,
    ) {
        let sequence = self.rows.spans()[tile.span].sequence;
        let oldest = if self.evicting { self.cache.oldest(slot, kv_head, sequence) } else { 0 };
        let sinks = self.sight.sinks;
        for position in tile.position..tile.position + tile.rows {
            views.extend(heads.clone().map(|head| {
                let window = self.sight.window(slot, head);
                let from = window.map_or(0, |window| (position + 1).saturating_sub(window));
                let from = from.max(bound.map_or(oldest, |bound| bound.from(position)));
                View { position, from, to: position + 1, sinks: sinks.min(from) }
            }));
        }
    }

    pub fn key_form(&self, slot: CacheSlot) -> KeyForm {
        KeyForm { block: self.cache.key_block(slot), rotation: self.cache.rotation(slot) }
    }

    /// The blocks of a head's keys at `positions`, in order, in the forms that queries of a tile
    /// see.
    pub fn blocks(
        &self,
        attention: &impl Attention,
        tile: &QueryTile,
        head: usize,
        positions: Range<usize>,
        turned: bool,
    ) -> impl Iterator<Item = Block<'a>> {
        let cache = self.cache;
        let queries = tile.position..tile.position + tile.rows;
        let sequence = self.rows.spans()[tile.span].sequence;
        let values_are_keys = attention.values_are_keys();
        let runs = cache.runs(attention.slot(), head, sequence, positions, queries);
        runs.flat_map(move |run| {
            let values = if values_are_keys { run.keys } else { run.values };
            blocks_of(KvRun { values, ..run }, cache.page_tokens(), turned)
        })
    }
}

/// Positions that some of the queries see, the sinks left out.
pub(super) fn seen_by_any(views: &[View]) -> Range<usize> {
    let from = views.iter().map(|view| view.from).min().unwrap_or(0);
    let to = views.iter().map(|view| view.to).max().unwrap_or(0);
    from..to
}

/// A thread's own scratch; never contended.
pub(super) fn lock(scratch: &Mutex<ThreadScratch>) -> std::sync::MutexGuard<'_, ThreadScratch> {
    scratch.lock().unwrap_or_else(|e| e.into_inner())
}
