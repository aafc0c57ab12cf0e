//! Grouped-query attention: a job takes the query heads of one key-value head through its keys.

use edgeformer_core::graph::{self, CacheSlot, RowKind, Value};
use edgeformer_core::{Result, Rows};

use super::attend::Scoring;
use super::attention::Attention;
use super::run::Executor;
use super::scratch::ThreadScratch;
use super::tiles::{Places, QueryTile, slice};
use crate::kernels::ColumnsMut;
use crate::program::{Jobs, QueryRope, SplitJobs};

impl Executor<'_> {
    pub(super) fn attention(
        &mut self,
        attention: &graph::Attention,
        rope: Option<QueryRope>,
        inputs: &[Value],
        output: Value,
    ) -> Result<()> {
        let kind = self.program.model.graph.values[inputs[0].index()].rows;
        let Some(slot) = attention.slot else {
            self.attend_both_sides(attention, inputs, output);
            return Ok(());
        };
        self.store_keys(slot, inputs, kind);
        self.cache.pages.fetch(slot)?;
        let mut watch = std::mem::take(&mut self.cache.watch);
        let mut lent = self.memory.take(output);
        let jobs = Jobs::grouped(attention);
        let queries = self.memory.read(inputs[0]);
        let grouped = Grouped { attention, slot, rope, jobs, queries };
        self.attend(&grouped, kind, output, lent.data(), &mut watch);
        self.memory.put_back(output, lent);
        self.cache.watch = watch;
        Ok(())
    }

    fn store_keys(&mut self, slot: CacheSlot, inputs: &[Value], kind: RowKind) {
        let (k, v) = (self.memory.read(inputs[1]), self.memory.read(inputs[2]));
        for (index, span) in self.rows.spans().iter().enumerate() {
            let range = self.rows.range(kind, index);
            let [keys, values] = [k, v].map(|rows| slice(rows, range.clone()));
            self.cache.pages.store(slot, span.sequence, span.first, keys, Some(values));
        }
    }
}

/// The attention of one op over cached keys.
struct Grouped<'a> {
    attention: &'a graph::Attention,
    slot: CacheSlot,
    rope: Option<QueryRope>,
    jobs: Jobs,
    queries: Rows<'a>,
}

impl Attention for Grouped<'_> {
    fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    fn split_jobs(&self) -> SplitJobs {
        SplitJobs::grouped(self.attention)
    }

    fn projects(&self) -> bool {
        false
    }

    fn scoring(&self) -> Scoring {
        Scoring { scale: self.attention.scale, soft_cap: self.attention.soft_cap }
    }

    fn slot(&self) -> CacheSlot {
        self.slot
    }

    fn kv_head(&self, block: usize) -> usize {
        block
    }

    fn rope(&self) -> Option<(QueryRope, usize)> {
        self.rope.map(|rope| (rope, 0))
    }

    fn columns(&self) -> usize {
        self.jobs.heads * self.jobs.value_dim
    }

    fn values_are_keys(&self) -> bool {
        false
    }

    fn load(&self, tile: &QueryTile, block: usize, scratch: &mut ThreadScratch) {
        load_queries(&self.jobs, self.queries, tile, block, scratch);
    }

    fn deliver(
        &self,
        tile: &QueryTile,
        _block: usize,
        scratch: &mut ThreadScratch,
        places: &Places<'_>,
        out: &mut ColumnsMut<'_>,
    ) {
        deliver_sums(tile, scratch, places, out);
    }
}

/// Copies the queries of a tile for a block of heads.
pub(super) fn load_queries(
    jobs: &Jobs,
    queries: Rows<'_>,
    tile: &QueryTile,
    block: usize,
    scratch: &mut ThreadScratch,
) {
    let columns = jobs.heads * jobs.key_dim;
    for (row, to) in scratch.queries.floats.chunks_exact_mut(columns).take(tile.rows).enumerate() {
        to.copy_from_slice(&queries.row(tile.full_row + row)[block * columns..][..columns]);
    }
}

/// Copies what the queries of a tile have gathered.
pub(super) fn deliver_sums(
    tile: &QueryTile,
    scratch: &ThreadScratch,
    places: &Places<'_>,
    out: &mut ColumnsMut<'_>,
) {
    let sums = scratch.sums.values.chunks_exact(out.columns()).take(tile.rows);
    for (row, sums) in sums.enumerate() {
        if let Some(place) = places.row(tile, row) {
            out.row_mut(place).copy_from_slice(sums);
        }
    }
}
