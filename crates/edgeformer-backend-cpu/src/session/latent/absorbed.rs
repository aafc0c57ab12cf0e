//! The absorbed form: multi-query attention over `[latent | rotated key]` rows, between two small
//! products a head.

use edgeformer_core::graph::{CacheSlot, LatentAttention};
use edgeformer_core::{Rows, RowsMut};

use super::super::attend::Scoring;
use super::super::attention::Attention;
use super::super::scratch::ThreadScratch;
use super::super::tiles::{Places, QueryTile, head_columns};
use super::Latent;
use crate::kernels::{Activations, ColumnsMut, Kernels};
use crate::program::{Jobs, QueryRope, SplitJobs};

/// The attention of one op.
pub(super) struct Absorbed<'a> {
    pub kernels: &'static Kernels,
    pub latent: Latent<'a>,
    pub jobs: Jobs,
    pub rope: Option<QueryRope>,
    /// Length of the parts that cached latents were rotated in, if they were.
    pub rotation: Option<usize>,
    /// Which spans are not expanded.
    pub takes: &'a (dyn Fn(usize) -> bool + Sync),
}

impl Attention for Absorbed<'_> {
    fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    fn split_jobs(&self) -> SplitJobs {
        SplitJobs::absorbed(self.latent.attention)
    }

    fn projects(&self) -> bool {
        true
    }

    fn scoring(&self) -> Scoring {
        Scoring { scale: self.latent.attention.scale, soft_cap: None }
    }

    fn slot(&self) -> CacheSlot {
        self.latent.attention.slot
    }

    fn takes(&self, span: usize) -> bool {
        (self.takes)(span)
    }

    fn kv_head(&self, _block: usize) -> usize {
        0
    }

    fn rope(&self) -> Option<(QueryRope, usize)> {
        self.rope.map(|rope| (rope, self.latent.attention.rank))
    }

    fn columns(&self) -> usize {
        self.jobs.heads * self.latent.attention.value_dim
    }

    fn values_are_keys(&self) -> bool {
        true
    }

    /// `[W_UKᵀ q_nope | q_rope]` for every head of the block.
    fn load(&self, tile: &QueryTile, block: usize, scratch: &mut ThreadScratch) {
        let Latent { attention, up, q_nope, q_rope } = self.latent;
        let &LatentAttention { nope_dim, rope_dim, rank, .. } = attention;
        let ThreadScratch { queries, row: part, .. } = scratch;
        let width = self.jobs.heads * self.jobs.key_dim;
        let queries = &mut queries.floats[..tile.rows * width];
        for (index, queries) in head_columns(queries, width, self.jobs.key_dim) {
            let head = block * self.jobs.heads + index;
            let part = &mut part[..tile.rows * nope_dim];
            for (row, part) in part.chunks_exact_mut(nope_dim).enumerate() {
                let query = q_nope.row(tile.full_row + row);
                part.copy_from_slice(&query[head * nope_dim..][..nope_dim]);
            }
            let (mut latent, mut rotated) = queries.split_at(rank);
            let up = &up.keys[head];
            let part = Activations::F32(Rows::new(part, nope_dim));
            up.kernel.run(up.bytes(0..rank), nope_dim, &part, &mut latent);
            for row in 0..tile.rows {
                let query = q_rope.row(tile.full_row + row);
                rotated.row_mut(row).copy_from_slice(&query[head * rope_dim..][..rope_dim]);
            }
        }
    }

    /// `W_UV` times the mixed latents of every head of the block.
    fn deliver(
        &self,
        tile: &QueryTile,
        block: usize,
        scratch: &mut ThreadScratch,
        places: &Places<'_>,
        out: &mut ColumnsMut<'_>,
    ) {
        let Latent { attention, up, .. } = self.latent;
        let &LatentAttention { value_dim, rank, .. } = attention;
        let ThreadScratch { sums, row: part, .. } = scratch;
        let (mixed, values) = part.split_at_mut(tile.rows * rank);
        let values = &mut values[..tile.rows * value_dim];
        for index in 0..self.jobs.heads {
            for (row, mixed) in mixed.chunks_exact_mut(rank).enumerate() {
                let query = row * self.jobs.heads + index;
                mixed.copy_from_slice(&sums.values[query * rank..][..rank]);
            }
            if let Some(group) = self.rotation {
                // A sum of rotated latents is the rotated sum, and the rotation its own inverse.
                self.kernels.hadamard(mixed, group);
            }
            let up = &up.values[block * self.jobs.heads + index];
            let mut own = ColumnsMut::new(RowsMut::new(values, value_dim));
            let latents = Activations::F32(Rows::new(mixed, rank));
            up.kernel.run(up.bytes(0..value_dim), rank, &latents, &mut own);
            for row in 0..tile.rows {
                if let Some(place) = places.row(tile, row) {
                    let columns = index * value_dim..(index + 1) * value_dim;
                    out.row_mut(place)[columns].copy_from_slice(own.row_mut(row));
                }
            }
        }
    }
}
