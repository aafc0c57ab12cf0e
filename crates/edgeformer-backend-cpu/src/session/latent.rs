//! Multi-head latent attention in its absorbed form (DeepSeek-V2, arXiv 2405.04434, section 2.1):
//! multi-query attention over `[latent | rotated key]` rows, between two small products a head.

use edgeformer_core::graph::{LatentAttention, RowKind, Value};
use edgeformer_core::{Rows, RowsMut};

use super::attend::{Block, Scoring, Strided, attend};
use super::grouped::{QueryTile, head_columns, query_tiles, slice};
use super::run::Executor;
use super::scratch::ThreadScratch;
use crate::kernels::{Activations, ColumnsMut};
use crate::program::{Jobs, UpProjections};

impl Executor<'_> {
    pub(super) fn latent_attention(
        &mut self,
        attention: &LatentAttention,
        up: &UpProjections,
        inputs: &[Value],
        output: Value,
    ) {
        let kind = self.program.model.graph.values[inputs[0].index()].rows;
        let jobs = Jobs::latent(attention, self.context, self.pool.threads());
        self.store_latents(attention, inputs, kind);

        let compact = self.memory.is_compact(output);
        let mut lent = self.memory.take(output);
        let job = LatentJob {
            attention,
            up,
            jobs,
            q_nope: self.memory.read(inputs[0]),
            q_rope: self.memory.read(inputs[1]),
        };
        let (kernels, rows, cache) = (self.kernels, self.rows, &*self.cache);
        let scoring = Scoring { scale: attention.scale, soft_cap: None };
        let width = attention.heads * attention.value_dim;
        let mut rest = lent.data();
        let tiles = query_tiles(rows, kind, compact, jobs.rows).flat_map(|tile| {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(tile.rows * width);
            rest = others;
            let columns = jobs.heads * attention.value_dim;
            head_columns(own, width, columns).map(move |(block, out)| (tile, block, out))
        });
        let threads = &self.scratch.threads;
        self.pool.for_each(tiles, |thread, (tile, block, mut out)| {
            let mut scratch = threads[thread].lock().unwrap_or_else(|e| e.into_inner());
            job.absorb(&tile, block * jobs.heads, &mut scratch);
            let sequence = rows.spans()[tile.span].sequence;
            attend(
                kernels,
                &jobs,
                scoring,
                tile.rows * jobs.heads,
                // Queries lie head after head.
                |query| 0..tile.position + query % tile.rows + 1,
                |positions| {
                    cache.runs(attention.slot, 0, sequence, positions, 0..usize::MAX).map(|run| {
                        let rows = Strided(run.keys);
                        Block { first: run.first, len: run.len, keys: rows, values: rows }
                    })
                },
                &mut scratch,
            );
            job.expand(&tile, block * jobs.heads, &mut scratch, &mut out);
        });
        self.memory.put_back(output, lent);
    }

    fn store_latents(&mut self, attention: &LatentAttention, inputs: &[Value], kind: RowKind) {
        let width = attention.rank + attention.rope_dim;
        let (latent, rotated) = (self.memory.read(inputs[2]), self.memory.read(inputs[3]));
        let joined = &mut self.scratch.latent_rows[..latent.len() * width];
        for (row, out) in joined.chunks_exact_mut(width).enumerate() {
            let (left, right) = out.split_at_mut(attention.rank);
            left.copy_from_slice(latent.row(row));
            right.copy_from_slice(rotated.row(row));
        }
        for (index, span) in self.rows.spans().iter().enumerate() {
            let keys = slice(Rows::new(joined, width), self.rows.range(kind, index));
            self.cache.store(attention.slot, span.sequence, span.first, keys, None);
        }
    }
}

/// What the jobs of one op share.
struct LatentJob<'a> {
    attention: &'a LatentAttention,
    up: &'a UpProjections,
    jobs: Jobs,
    q_nope: Rows<'a>,
    q_rope: Rows<'a>,
}

impl LatentJob<'_> {
    /// Queries of a tile for heads `first..`: `[W_UKᵀ q_nope | q_rope]`, head after head.
    fn absorb(&self, tile: &QueryTile, first: usize, scratch: &mut ThreadScratch) {
        let &LatentAttention { nope_dim, rope_dim, rank, .. } = self.attention;
        let ThreadScratch { queries, row: part, .. } = scratch;
        let size = tile.rows * self.jobs.key_dim;
        for (head, queries) in (first..).zip(queries.chunks_exact_mut(size)).take(self.jobs.heads) {
            let part = &mut part[..tile.rows * nope_dim];
            for (row, part) in part.chunks_exact_mut(nope_dim).enumerate() {
                let query = self.q_nope.row(tile.full_row + row);
                part.copy_from_slice(&query[head * nope_dim..][..nope_dim]);
            }
            let queries = ColumnsMut::new(RowsMut::new(queries, self.jobs.key_dim));
            let (mut latent, mut rotated) = queries.split_at(rank);
            let up = &self.up.keys[head];
            let part = Activations::F32(Rows::new(part, nope_dim));
            up.kernel.run(up.bytes(0..rank), nope_dim, &part, &mut latent);
            for row in 0..tile.rows {
                let query = self.q_rope.row(tile.full_row + row);
                rotated.row_mut(row).copy_from_slice(&query[head * rope_dim..][..rope_dim]);
            }
        }
    }

    /// `W_UV` times the mixed latents of heads `first..`.
    fn expand(
        &self,
        tile: &QueryTile,
        first: usize,
        scratch: &mut ThreadScratch,
        out: &mut ColumnsMut<'_>,
    ) {
        let &LatentAttention { value_dim, rank, .. } = self.attention;
        let ThreadScratch { sums, row: part, .. } = scratch;
        for (index, sums) in sums.chunks_exact(tile.rows * rank).take(self.jobs.heads).enumerate() {
            let part = &mut part[..tile.rows * value_dim];
            let up = &self.up.values[first + index];
            let mut values = ColumnsMut::new(RowsMut::new(part, value_dim));
            let latents = Activations::F32(Rows::new(sums, rank));
            up.kernel.run(up.bytes(0..value_dim), rank, &latents, &mut values);
            for row in 0..tile.rows {
                let columns = index * value_dim..(index + 1) * value_dim;
                out.row_mut(row)[columns].copy_from_slice(values.row_mut(row));
            }
        }
    }
}
