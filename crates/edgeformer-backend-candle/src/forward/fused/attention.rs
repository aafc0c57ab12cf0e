//! Attention of whole sequences, none of whose scores outlive a tile: backward they are computed
//! again (Dao et al.: "FlashAttention", arXiv 2205.14135, section 3, algorithm 4 in its appendix B;
//! here a tile has all keys that it sees, so that a softmax needs no correction).

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

use super::slice::floats;
use crate::gemm::View;
use crate::vectors::{dot, exp, max, sum_of, wide};

/// Queries that are attended at a time.
const TILE: usize = 128;

/// The rows of one sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::forward) struct Span {
    /// Its rows among those of all sequences.
    pub rows: Range<usize>,
    /// Which of them ask, counted from its first.
    pub queries: Range<usize>,
}

/// Grouped attention of queries `[rows, heads * key_dim]`, keys `[rows, kv_heads * key_dim]` and
/// values `[rows, kv_heads * value_dim]`; makes a row for every query of every span.
#[derive(Debug, Clone)]
pub(in crate::forward) struct WholeAttention {
    pub spans: Vec<Span>,
    pub heads: usize,
    pub kv_heads: usize,
    pub scale: f32,
    /// How far back heads see, their own position included: one for all, or one a head. `None` is
    /// everything before; bidirectional attention has none.
    pub windows: Option<Vec<Option<usize>>>,
}

/// Matrices of several heads in the memory of a tensor, strides in elements.
#[derive(Clone, Copy)]
struct Heads<'a> {
    values: &'a [f32],
    start: usize,
    head: usize,
    row: usize,
    column: usize,
}

impl<'a> Heads<'a> {
    /// The matrices of `kv_heads` heads of `dim` columns, from a row of `[rows, width]` on, the
    /// `member`-th of every group of `shared`.
    fn of(tensor: Side<'a>, row: usize, shared: usize, member: usize) -> Self {
        let Side { values, width, dim } = tensor;
        let start = row * width + member * dim;
        Self { values, start, head: shared * dim, row: width, column: 1 }
    }

    /// Those of `[heads, rows, columns]`.
    fn dense(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self { values, start: 0, head: rows * columns, row: columns, column: 1 }
    }

    fn transposed(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    /// The products with other matrices, `[heads, rows, columns]`.
    fn times(self, other: Self, [heads, rows, columns, depth]: [usize; 4]) -> Vec<f32> {
        let mut made = Vec::with_capacity(heads * rows * columns);
        for head in 0..heads {
            let right = other.matrix(head, [depth, columns]);
            self.matrix(head, [rows, depth]).times(right, &mut made);
        }
        made
    }

    fn matrix(&self, head: usize, shape: [usize; 2]) -> View<'a> {
        View::new(&self.values[self.start + head * self.head..], shape, [self.row, self.column])
    }
}

/// One side of attention: `[rows, width]`, heads of `dim` columns.
#[derive(Clone, Copy)]
struct Side<'a> {
    values: &'a [f32],
    width: usize,
    dim: usize,
}

impl<'a> Side<'a> {
    fn new(storage: &'a CpuStorage, layout: &Layout, heads: usize) -> Result<Self> {
        let (_, width) = layout.shape().dims2()?;
        Ok(Self { values: floats(storage, layout)?, width, dim: width / heads })
    }
}

/// Gradients of one sequence, `[rows, width]` each.
struct Gradients {
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// Some queries and the keys that any of them sees, counted from the sequence's first row.
struct Tile {
    queries: Range<usize>,
    seen: Range<usize>,
}

impl WholeAttention {
    fn shared(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// The first position that a head's query sees, and the one behind the last.
    fn sight(&self, head: usize, position: usize, count: usize) -> Range<usize> {
        let Some(windows) = &self.windows else { return 0..count };
        let window = windows[if windows.len() == 1 { 0 } else { head }];
        window.map_or(0, |window| (position + 1).saturating_sub(window))..position + 1
    }

    fn tiles(&self, span: &Span) -> Vec<Tile> {
        let count = span.rows.len();
        let mut tiles = Vec::new();
        for start in span.queries.clone().step_by(TILE) {
            let queries = start..(start + TILE).min(span.queries.end);
            let of = |position| (0..self.heads).map(move |head| self.sight(head, position, count));
            let first = of(start).map(|sight| sight.start).min().unwrap_or(0);
            let last = of(queries.end - 1).map(|sight| sight.end).max().unwrap_or(count);
            tiles.push(Tile { queries, seen: first..last });
        }
        tiles
    }

    /// Probabilities of a tile, `[kv_heads, queries, seen]`, of the `member`-th head of each group.
    fn probabilities(
        &self,
        [q, k]: [Side<'_>; 2],
        span: &Span,
        tile: &Tile,
        member: usize,
    ) -> Vec<f32> {
        let (rows, columns) = (tile.queries.len(), tile.seen.len());
        let queries = Heads::of(q, span.rows.start + tile.queries.start, self.shared(), member);
        let keys = Heads::of(k, span.rows.start + tile.seen.start, 1, 0);
        let shape = [self.kv_heads, rows, columns, q.dim];
        let mut scores = queries.times(keys.transposed(), shape);
        scores.par_chunks_mut(columns).enumerate().for_each(|(index, row)| {
            let head = index / rows * self.shared() + member;
            let position = tile.queries.start + index % rows;
            let sight = self.sight(head, position, span.rows.len());
            let first = sight.start.saturating_sub(tile.seen.start);
            wide(softmax, (row, first..sight.end - tile.seen.start, self.scale));
        });
        scores
    }

    /// The rows of a sequence's queries, `[queries, heads * value_dim]`.
    fn attend(&self, sides: [Side<'_>; 3], span: &Span) -> Vec<f32> {
        let [q, k, v] = sides;
        let width = self.heads * v.dim;
        let mut made = vec![0.0f32; span.queries.len() * width];
        for tile in self.tiles(span) {
            let (rows, columns) = (tile.queries.len(), tile.seen.len());
            let start = tile.queries.start - span.queries.start;
            let to = &mut made[start * width..][..rows * width];
            for member in 0..self.shared() {
                let weights = self.probabilities([q, k], span, &tile, member);
                let weights = Heads::dense(&weights, rows, columns);
                let values = Heads::of(v, span.rows.start + tile.seen.start, 1, 0);
                let mixed = weights.times(values, [self.kv_heads, rows, v.dim, columns]);
                self.scatter(&mixed, to, v.dim, Some(member));
            }
        }
        made
    }

    /// Adds `[kv_heads, rows, dim]` to the columns of heads: the `member`-th of each group, or the
    /// heads of keys and values.
    fn scatter(&self, from: &[f32], to: &mut [f32], dim: usize, member: Option<usize>) {
        let (shared, member) = member.map_or((1, 0), |member| (self.shared(), member));
        let width = self.kv_heads * shared * dim;
        let rows = to.len() / width;
        to.par_chunks_exact_mut(width).enumerate().for_each(|(row, to)| {
            for head in 0..self.kv_heads {
                let from = &from[(head * rows + row) * dim..][..dim];
                let to = &mut to[(head * shared + member) * dim..][..dim];
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
        });
    }

    /// The gradients of a sequence, `gradient` being that of its queries' rows from `asked` on.
    fn back(
        &self,
        sides: [Side<'_>; 3],
        gradient: Side<'_>,
        span: &Span,
        asked: usize,
    ) -> Gradients {
        let [q, k, v] = sides;
        let count = span.rows.len();
        let zeros = |side: Side<'_>| vec![0.0f32; count * side.width];
        let mut made = Gradients { queries: zeros(q), keys: zeros(k), values: zeros(v) };
        for tile in self.tiles(span) {
            let (rows, columns) = (tile.queries.len(), tile.seen.len());
            let given = asked + tile.queries.start - span.queries.start;
            let within = |range: &Range<usize>, side: Side<'_>| {
                range.start * side.width..range.end * side.width
            };
            for member in 0..self.shared() {
                let weights = self.probabilities([q, k], span, &tile, member);
                let keys = Heads::of(k, span.rows.start + tile.seen.start, 1, 0);
                let values = Heads::of(v, span.rows.start + tile.seen.start, 1, 0);
                let asking =
                    Heads::of(q, span.rows.start + tile.queries.start, self.shared(), member);
                let given = Heads::of(gradient, given, self.shared(), member);
                let of_weights =
                    given.times(values.transposed(), [self.kv_heads, rows, columns, v.dim]);
                let of_values = Heads::dense(&weights, rows, columns)
                    .transposed()
                    .times(given, [self.kv_heads, columns, v.dim, rows]);
                let to = &mut made.values[within(&tile.seen, v)];
                self.scatter(&of_values, to, v.dim, None);
                let of_scores = self.of_scores(weights, &of_weights, columns);
                let of_scores = Heads::dense(&of_scores, rows, columns);
                let of_queries = of_scores.times(keys, [self.kv_heads, rows, q.dim, columns]);
                let to = &mut made.queries[within(&tile.queries, q)];
                self.scatter(&of_queries, to, q.dim, Some(member));
                let of_keys =
                    of_scores.transposed().times(asking, [self.kv_heads, columns, q.dim, rows]);
                let to = &mut made.keys[within(&tile.seen, k)];
                self.scatter(&of_keys, to, k.dim, None);
            }
        }
        made
    }

    /// The gradient of scores from that of probabilities.
    fn of_scores(&self, mut weights: Vec<f32>, of_weights: &[f32], columns: usize) -> Vec<f32> {
        let rows = weights.par_chunks_mut(columns).zip(of_weights.par_chunks(columns));
        rows.for_each(|(made, given)| {
            wide(of_softmax, (made, given, self.scale));
        });
        weights
    }

    /// Where each span's queries are among all of them.
    fn asked(&self) -> Vec<usize> {
        let lengths = self.spans.iter().map(|span| span.queries.len());
        lengths.scan(0, |next, length| Some(std::mem::replace(next, *next + length))).collect()
    }
}

/// The gradient of scores in the place of their probabilities, from that of these.
#[inline(always)]
fn of_softmax((weights, given, scale): (&mut [f32], &[f32], f32)) {
    let along = dot(weights, given);
    for (made, given) in weights.iter_mut().zip(given) {
        *made *= scale * (given - along);
    }
}

/// The softmax of `scale` times what is seen; the rest is zero.
#[inline(always)]
fn softmax((row, seen, scale): (&mut [f32], Range<usize>, f32)) {
    row[..seen.start].fill(0.0);
    row[seen.end..].fill(0.0);
    let row = &mut row[seen];
    let largest = max(row);
    row.iter_mut().for_each(|score| *score = exp(scale * (*score - largest)));
    let inverse = 1.0 / sum_of(row, |score| score);
    row.iter_mut().for_each(|score| *score *= inverse);
}

impl CustomOp3 for WholeAttention {
    fn name(&self) -> &'static str {
        "whole-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_at: &Layout,
        k: &CpuStorage,
        k_at: &Layout,
        v: &CpuStorage,
        v_at: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sides = [
            Side::new(q, q_at, self.heads)?,
            Side::new(k, k_at, self.kv_heads)?,
            Side::new(v, v_at, self.kv_heads)?,
        ];
        let attended: Vec<Vec<f32>> =
            self.spans.par_iter().map(|span| self.attend(sides, span)).collect();
        let width = self.heads * sides[2].dim;
        let rows = self.spans.iter().map(|span| span.queries.len()).sum::<usize>();
        Ok((CpuStorage::F32(attended.concat()), (rows, width).into()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _mixed: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let locked = [q, k, v, &gradient].map(Tensor::storage_and_layout);
        let mut sides = Vec::with_capacity(4);
        let heads = [self.heads, self.kv_heads, self.kv_heads, self.heads];
        for ((storage, layout), heads) in locked.iter().zip(heads) {
            let Storage::Cpu(storage) = &**storage else { bail!("attention is on the processor") };
            sides.push(Side::new(storage, layout, heads)?);
        }
        let (given, sides) = (sides[3], [sides[0], sides[1], sides[2]]);
        let asked = self.asked();
        let parts: Vec<Gradients> = self
            .spans
            .par_iter()
            .zip(asked)
            .map(|(span, asked)| self.back(sides, given, span, asked))
            .collect();
        let whole = |part: fn(&Gradients) -> &[f32], like: &Tensor| {
            let values = parts.iter().map(part).collect::<Vec<_>>().concat();
            Tensor::from_vec(values, like.shape(), like.device()).map(Some)
        };
        Ok((
            whole(|part| &part.queries, q)?,
            whole(|part| &part.keys, k)?,
            whole(|part| &part.values, v)?,
        ))
    }
}
