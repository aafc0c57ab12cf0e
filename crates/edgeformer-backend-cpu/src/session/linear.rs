//! Matrix products.

use edgeformer_core::graph::Value;
use edgeformer_core::{Rows, RowsMut};

use super::run::Executor;
use super::scratch::Quantized;
use crate::kernels::{Activations, ColumnsMut, Kernels, Q8Rows};
use crate::pool::Pool;
use crate::program::{Linear, Tile};

/// Multiplications that one thread does faster than it can wake another.
const WORTH_SHARING: usize = 1 << 17;
/// Rows of activations that a thread quantizes at a time.
const QUANTIZED_ROWS: usize = 8;

impl Executor<'_> {
    pub(super) fn linear(&mut self, linear: &Linear, input: Value, output: Value) {
        let mut lent = self.memory.take(output);
        let x = self.memory.read(input);
        let quantized = &mut self.scratch.quantized;
        if linear.wants_q8() && quantized.of != Some(input) {
            quantize(self.pool, self.kernels, x, quantized);
            quantized.of = Some(input);
        }
        let out = RowsMut::new(lent.data(), linear.out);
        multiply(self.pool, self.kernels, linear, x, quantized.view(), out);
        self.memory.put_back(output, lent);
    }
}

/// Fills `quantized` with rows in 8 bits. Whose they are is for the caller to note.
pub(super) fn quantize(pool: &Pool, kernels: &Kernels, rows: Rows<'_>, quantized: &mut Quantized) {
    quantized.of = None;
    let width = rows.width();
    let out = quantized.buffer.reset(rows.len(), width);
    let worthwhile = rows.data().len() >= 1 << 15 && rows.len() > QUANTIZED_ROWS;
    let blocks = out.chunks(QUANTIZED_ROWS).zip(rows.data().chunks(QUANTIZED_ROWS * width));
    pool.for_each_if(worthwhile, blocks, |_, (out, rows)| {
        out.quantize(kernels, Rows::new(rows, width));
    });
}

/// `out = x Wᵀ + b`. `q8` is `x` in 8 bits if some part of the weight wants it.
pub(super) fn multiply(
    pool: &Pool,
    kernels: &Kernels,
    linear: &Linear,
    x: Rows<'_>,
    q8: Q8Rows<'_>,
    out: RowsMut<'_>,
) {
    let worthwhile = x.len() * linear.columns * linear.out >= WORTH_SHARING;
    let mut rest = Some(ColumnsMut::new(out));
    let tiles = linear.tiles.iter().filter_map(|tile| {
        let (own, right) = rest.take()?.split_at(tile.rows);
        rest = Some(right);
        Some((tile, own))
    });
    pool.for_each_if(worthwhile, tiles, |_, (tile, mut out)| {
        run_tile(kernels, linear, tile, x, q8, &mut out);
    });
}

fn run_tile(
    kernels: &Kernels,
    linear: &Linear,
    tile: &Tile,
    x: Rows<'_>,
    q8: Q8Rows<'_>,
    out: &mut ColumnsMut<'_>,
) {
    let part = &linear.parts[tile.part];
    let activations = if part.wants_q8() { Activations::Q8(q8) } else { Activations::F32(x) };
    part.multiply(tile.first..tile.first + tile.rows, &activations, out);
    if let Some(bias) = &linear.bias {
        let bias = &bias[tile.column..tile.column + tile.rows];
        (0..out.rows()).for_each(|row| kernels.add(out.row_mut(row), bias));
    }
}
