//! Grouped-query attention.

use std::ops::Range;

use edgeformer_core::Rows;
use edgeformer_core::graph::{Attention, Mask, RowKind, Value};

use super::attend::{Block, Scoring, Strided, attend};
use super::rows::StepRows;
use super::run::Executor;
use crate::cache::PagedCache;
use crate::kernels::{ColumnsMut, KvRows};
use crate::program::Jobs;

/// Scores times widths that one thread does faster than it can wake another.
const WORTH_SHARING: usize = 1 << 16;

/// Neighbouring output rows of one span.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueryTile {
    pub span: usize,
    /// Output rows.
    pub rows: usize,
    /// The first of them, as a row of the full value.
    pub full_row: usize,
    /// Its position.
    pub position: usize,
}

/// Cuts the output rows of an attention into tiles of at most `size`, in order.
pub(super) fn query_tiles(
    rows: &StepRows,
    kind: RowKind,
    compact: bool,
    size: usize,
) -> impl Iterator<Item = QueryTile> + Send {
    (0..rows.spans().len()).flat_map(move |span| {
        let full = rows.range(kind, span);
        // What is wanted of a span is its last row or all: neighbours either way.
        let own = if compact { rows.spans()[span].wanted.clone() } else { full.clone() };
        own.clone().step_by(size).map(move |row| {
            let full_row = rows.full_row(compact, row);
            let rows_of_tile = size.min(own.end - row);
            let position = rows.position(kind, full_row);
            QueryTile { span, rows: rows_of_tile, full_row, position }
        })
    })
}

/// Positions that the query at `position` sees; `len` is the sequence's, this step included.
fn visible(attention: &Attention, position: usize, len: usize) -> Range<usize> {
    let window = attention.window.unwrap_or(usize::MAX);
    let from = (position + 1).saturating_sub(window);
    match attention.mask {
        Mask::Causal => from..position + 1,
        Mask::Bidirectional => from..position.saturating_add(window).min(len),
    }
}

impl Executor<'_> {
    pub(super) fn attention(&mut self, attention: &Attention, inputs: &[Value], output: Value) {
        let kind = self.program.model.graph.values[inputs[0].index()].rows;
        let jobs = Jobs::grouped(attention, kind, self.capacity, self.context);
        self.store_keys(attention, inputs, kind);

        let compact = self.memory.is_compact(output);
        let mut lent = self.memory.take(output);
        let [q, k, v] = [0, 1, 2].map(|index| self.memory.read(inputs[index]));
        let (kernels, rows, cache) = (self.kernels, self.rows, &*self.cache);
        let source = Source { attention, k, v, rows, kind, cache };
        let scoring = Scoring { scale: attention.scale, soft_cap: attention.soft_cap };
        let head_group = jobs.heads * jobs.key_dim;

        let width = attention.heads * attention.value_dim;
        let scores = lent.data().len() * self.longest_span(kind);
        let mut rest = lent.data();
        let tiles = query_tiles(rows, kind, compact, jobs.rows).flat_map(|tile| {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(tile.rows * width);
            rest = others;
            let columns = jobs.heads * jobs.value_dim;
            head_columns(own, width, columns).map(move |(head, out)| (tile, head, out))
        });
        let threads = &self.scratch.threads;
        self.pool.for_each_if(scores >= WORTH_SHARING, tiles, |thread, (tile, head, mut out)| {
            let mut scratch = threads[thread].lock().unwrap_or_else(|e| e.into_inner());
            for row in 0..tile.rows {
                let query = &q.row(tile.full_row + row)[head * head_group..][..head_group];
                scratch.queries[row * head_group..][..head_group].copy_from_slice(query);
            }
            let len = rows.range(kind, tile.span).len();
            attend(
                kernels,
                &jobs,
                scoring,
                tile.rows * jobs.heads,
                |query| visible(attention, tile.position + query / jobs.heads, len),
                |positions| source.blocks(tile.span, head, positions),
                &mut scratch,
            );
            let columns = out.columns();
            for row in 0..tile.rows {
                out.row_mut(row).copy_from_slice(&scratch.sums[row * columns..][..columns]);
            }
        });
        self.memory.put_back(output, lent);
    }

    /// Positions of the span that sees most.
    pub(super) fn longest_span(&self, kind: RowKind) -> usize {
        let spans = self.rows.spans().iter().enumerate();
        spans
            .map(|(index, span)| span.first + self.rows.range(kind, index).len())
            .max()
            .unwrap_or(0)
    }

    fn store_keys(&mut self, attention: &Attention, inputs: &[Value], kind: RowKind) {
        let Some(slot) = attention.slot else { return };
        let (k, v) = (self.memory.read(inputs[1]), self.memory.read(inputs[2]));
        for (index, span) in self.rows.spans().iter().enumerate() {
            let range = self.rows.range(kind, index);
            let [keys, values] = [k, v].map(|rows| slice(rows, range.clone()));
            self.cache.store(slot, span.sequence, span.first, keys, Some(values));
        }
    }
}

/// Rows `range` of a matrix.
pub(super) fn slice(rows: Rows<'_>, range: Range<usize>) -> Rows<'_> {
    let width = rows.width();
    Rows::new(&rows.data()[range.start * width..range.end * width], width)
}

/// Blocks of `columns` columns of some rows, with their number.
pub(super) fn head_columns(
    rows: &mut [f32],
    width: usize,
    columns: usize,
) -> impl Iterator<Item = (usize, ColumnsMut<'_>)> {
    let mut rest = Some(ColumnsMut::new(edgeformer_core::RowsMut::new(rows, width)));
    (0..width / columns).filter_map(move |head| {
        let (own, right) = rest.take()?.split_at(columns);
        rest = Some(right);
        Some((head, own))
    })
}

/// Where the keys and values of a step's spans are: in the cache, or still in their buffers.
struct Source<'a> {
    attention: &'a Attention,
    k: Rows<'a>,
    v: Rows<'a>,
    rows: &'a StepRows,
    kind: RowKind,
    cache: &'a PagedCache,
}

impl<'a> Source<'a> {
    fn blocks(
        &self,
        span: usize,
        head: usize,
        positions: Range<usize>,
    ) -> impl Iterator<Item = Block<'a>> + use<'a> {
        let Attention { key_dim, value_dim, .. } = *self.attention;
        let cached = self.attention.slot.map(|slot| {
            let sequence = self.rows.spans()[span].sequence;
            let queries = 0..usize::MAX;
            self.cache.runs(slot, head, sequence, positions.clone(), queries).map(|run| Block {
                first: run.first,
                len: run.len,
                keys: Strided(run.keys),
                values: Strided(run.values),
            })
        });
        let buffered = self.attention.slot.is_none().then(|| {
            let start = self.rows.range(self.kind, span).start + positions.start;
            let side = |rows: Rows<'a>, dim: usize| {
                let data = &rows.data()[start * rows.width() + head * dim..];
                Strided(KvRows::F32 { data, stride: rows.width() })
            };
            Block {
                first: positions.start,
                len: positions.len(),
                keys: side(self.k, key_dim),
                values: side(self.v, value_dim),
            }
        });
        cached.into_iter().flatten().chain(buffered)
    }
}
