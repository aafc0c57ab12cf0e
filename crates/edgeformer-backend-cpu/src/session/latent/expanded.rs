//! The expanded form: latents become the keys and values of one head, block by block, and all
//! queries of a span meet a block before the next is made.

use std::ops::Range;

use edgeformer_core::graph::{LatentAttention, RowKind, Value};
use edgeformer_core::{Rows, RowsMut};

use super::super::attend::{Attend, Block, Scoring, View, block_at, blocks_of};
use super::super::attention::lock;
use super::super::run::Executor;
use super::super::scratch::ThreadScratch;
use super::super::tiles::{QueryTile, head_columns, span_tiles};
use super::Latent;
use crate::kernels::{Activations, ColumnsMut, Kernels, KvRows, Queries};
use crate::program::{Jobs, KEYS};

/// One head of a span.
struct Head<'a> {
    kernels: &'static Kernels,
    latent: Latent<'a>,
    jobs: Jobs,
    head: usize,
    /// Length of the parts that cached latents were rotated in, if they were.
    rotation: Option<usize>,
    window: Option<usize>,
}

/// Room for a head's queries, for a block of latents and for what they become.
struct Room<'s> {
    /// `[rows, nope_dim + rope_dim]`: the span's queries.
    queries: &'s mut [f32],
    /// `[rank, nope_dim]`: the transposed up-projection of the head's keys.
    up: &'s mut [f32],
    /// `[KEYS, rank + rope_dim]`.
    latents: &'s mut [f32],
    /// `[KEYS, nope_dim]`.
    nope: &'s mut [f32],
    /// `[KEYS, nope_dim + rope_dim]`.
    keys: &'s mut [f32],
    /// `[KEYS, value_dim]`.
    values: &'s mut [f32],
}

impl Executor<'_> {
    pub(super) fn attend_expanded(
        &self,
        latent: &Latent<'_>,
        kind: RowKind,
        output: Value,
        span: usize,
        out: &mut [f32],
    ) {
        let (rows, width) = (self.rows, self.memory.width(output));
        let compact = self.memory.is_compact(output);
        let own = &rows.spans()[span];
        let out_rows = if compact { own.wanted.clone() } else { rows.range(kind, span) };
        let out = &mut out[out_rows.start * width..out_rows.end * width];
        let end = own.first + rows.range(kind, span).len();
        let jobs = Jobs::expanded(latent.attention);
        let (cache, slot) = (&self.cache.pages, latent.attention.slot);
        let heads = head_columns(out, width, latent.attention.value_dim);
        let threads = &self.scratch.threads;
        self.pool.for_each(heads, |thread, (head, mut out)| {
            let mut scratch = lock(&threads[thread]);
            let window = self.sight.window(slot, head);
            let rotation = cache.rotation(slot);
            let head =
                Head { kernels: self.kernels, latent: *latent, jobs, head, rotation, window };
            let tiles = || span_tiles(rows, kind, compact, span, jobs.rows);
            head.begin(&mut scratch, out.rows(), tiles());
            let first = tiles().next().map_or(end, |tile| tile.position);
            let seen = window.map_or(0, |window| (first + 1).saturating_sub(window))..end;
            let positions = first..end;
            for run in cache.runs(slot, 0, own.sequence, seen, positions) {
                for block in blocks_of(run, cache.page_tokens(), false) {
                    let start = block_at(block.first, cache.page_tokens()).start;
                    head.meet(start, &block, out.rows(), tiles(), &mut scratch);
                }
            }
            head.deliver(&mut scratch, &mut out);
        });
    }
}

impl Head<'_> {
    /// Loads the queries of the span, `rows` of them in `tiles`, and the keys' up-projection.
    fn begin(
        &self,
        scratch: &mut ThreadScratch,
        rows: usize,
        tiles: impl Iterator<Item = QueryTile>,
    ) {
        scratch.sums.begin(rows, self.jobs.value_dim);
        let up = &self.latent.up.keys[self.head];
        let nope_dim = self.latent.attention.nope_dim;
        let room = self.room(rows, &mut scratch.expanded);
        for (row, out) in room.up.chunks_exact_mut(nope_dim).enumerate() {
            up.decode_row(row, out);
        }
        let mut rest = room.queries;
        for tile in tiles {
            let (own, others) = rest.split_at_mut(tile.rows * self.jobs.key_dim);
            self.load(&tile, own);
            rest = others;
        }
    }

    fn room<'s>(&self, rows: usize, expanded: &'s mut [f32]) -> Room<'s> {
        let &LatentAttention { rank, nope_dim, rope_dim, value_dim, .. } = self.latent.attention;
        let (queries, rest) = expanded.split_at_mut(rows * self.jobs.key_dim);
        let (up, rest) = rest.split_at_mut(rank * nope_dim);
        let (latents, rest) = rest.split_at_mut(KEYS * (rank + rope_dim));
        let (nope, rest) = rest.split_at_mut(KEYS * nope_dim);
        let (keys, rest) = rest.split_at_mut(KEYS * (nope_dim + rope_dim));
        Room { queries, up, latents, nope, keys, values: &mut rest[..KEYS * value_dim] }
    }

    /// Takes all queries of the span, `rows` in `tiles`, through what they see of a block of latents
    /// that begins at `start`. Scores are laid out from there: where they begin to see it must not
    /// decide in which order their weights are added up.
    fn meet(
        &self,
        start: usize,
        block: &Block<'_>,
        rows: usize,
        tiles: impl Iterator<Item = QueryTile>,
        scratch: &mut ThreadScratch,
    ) {
        let mut room = self.room(rows, &mut scratch.expanded);
        self.expand(block, &mut room);
        let width = self.jobs.key_dim;
        let keys = KvRows::F32 { data: room.keys, stride: width };
        let queries = |rows: Range<usize>| Queries {
            floats: &room.queries[rows.start * width..rows.end * width],
            codes: &[],
            scales: &[],
            width,
        };
        let values = KvRows::F32 { data: room.values, stride: self.jobs.value_dim };
        let block = Block { keys, values, seen_by: block.seen_by.clone(), ..*block };
        let mut first = 0;
        for tile in tiles {
            self.look(&tile, &mut scratch.views);
            let mut attend = Attend {
                kernels: self.kernels,
                scoring: Scoring { scale: self.latent.attention.scale, soft_cap: None },
                value_dim: self.jobs.value_dim,
                views: &scratch.views,
                queries: queries(first..first + tile.rows),
                turned: queries(0..0),
                pages: None,
                scores: &mut scratch.scores,
                record: None,
            };
            let mut part = scratch.part.view(tile.rows, self.jobs.value_dim);
            let positions = start..block.first + block.len;
            let blocks = || std::iter::once(block.clone());
            attend.part(positions, blocks, &mut part);
            scratch.sums.fold(self.kernels, first, &part, self.jobs.value_dim);
            first += tile.rows;
        }
    }

    /// Makes keys `[W_UK c | rotated key]` and values `W_UV c` of a block's latents `c`.
    fn expand(&self, block: &Block<'_>, room: &mut Room<'_>) {
        let &LatentAttention { rank, nope_dim, rope_dim, value_dim, .. } = self.latent.attention;
        let (len, width) = (block.len, rank + rope_dim);
        let latents = &mut room.latents[..len * width];
        self.kernels.decode_rows(block.keys, width, latents);
        if let Some(group) = self.rotation {
            self.kernels.hadamard(latents, group);
        }
        let nope = &mut room.nope[..len * nope_dim];
        nope.fill(0.0);
        let up = KvRows::F32 { data: room.up, stride: nope_dim };
        self.kernels.accumulate(latents, width, up, rank, nope, nope_dim);
        let keys = room.keys.chunks_exact_mut(nope_dim + rope_dim);
        for ((key, nope), latent) in
            keys.zip(nope.chunks_exact(nope_dim)).zip(latents.chunks_exact(width))
        {
            key[..nope_dim].copy_from_slice(nope);
            key[nope_dim..].copy_from_slice(&latent[rank..]);
        }
        // The product wants its rows side by side.
        (1..len).for_each(|row| latents.copy_within(row * width..row * width + rank, row * rank));
        let values = RowsMut::new(&mut room.values[..len * value_dim], value_dim);
        let latents = Activations::F32(Rows::new(&latents[..len * rank], rank));
        let up = &self.latent.up.values[self.head];
        up.kernel.run(up.bytes(0..value_dim), rank, &latents, &mut ColumnsMut::new(values));
    }

    /// Fills `queries` with those of a tile.
    fn load(&self, tile: &QueryTile, queries: &mut [f32]) {
        let Latent { attention, q_nope, q_rope, .. } = self.latent;
        let &LatentAttention { nope_dim, rope_dim, .. } = attention;
        let rows = queries.chunks_exact_mut(nope_dim + rope_dim);
        for (row, query) in rows.enumerate() {
            let full = tile.full_row + row;
            let (nope, rotated) = query.split_at_mut(nope_dim);
            nope.copy_from_slice(&q_nope.row(full)[self.head * nope_dim..][..nope_dim]);
            rotated.copy_from_slice(&q_rope.row(full)[self.head * rope_dim..][..rope_dim]);
        }
    }

    fn look(&self, tile: &QueryTile, views: &mut Vec<View>) {
        views.clear();
        views.extend((tile.position..tile.position + tile.rows).map(|position| {
            let from = self.window.map_or(0, |window| (position + 1).saturating_sub(window));
            View { position, from, to: position + 1, sinks: 0 }
        }));
    }

    fn deliver(&self, scratch: &mut ThreadScratch, out: &mut ColumnsMut<'_>) {
        let value_dim = self.jobs.value_dim;
        scratch.sums.finish(self.kernels, 0..out.rows(), value_dim);
        for row in 0..out.rows() {
            out.row_mut(row).copy_from_slice(&scratch.sums.values[row * value_dim..][..value_dim]);
        }
    }
}
