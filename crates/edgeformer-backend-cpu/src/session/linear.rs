//! Matrix products, and what is done to their columns while these are in the cache.

use edgeformer_core::graph::Value;
use edgeformer_core::{Rows, RowsMut};

use super::elementwise;
use super::run::Executor;
use super::scratch::Quantized;
use crate::kernels::{Activations, ColumnsMut, Kernels, Q8Rows};
use crate::pool::Pool;
use crate::program::{GatedPair, Linear, MOST_SIBLINGS, Tile};

/// Multiplications that one thread does faster than it can wake another.
const WORTH_SHARING: usize = 1 << 17;
/// Rows of activations that a thread quantizes at a time.
pub(super) const QUANTIZED_ROWS: usize = 8;

impl Executor<'_> {
    /// Products of one value, their tiles shared out together.
    pub(super) fn linears(&mut self, linears: &[Linear], input: Value, outputs: &[Value]) {
        self.quantize_for(linears.iter().any(Linear::wants_q8), input);
        let mut lent = [const { None }; MOST_SIBLINGS];
        for (lent, &output) in lent.iter_mut().zip(outputs) {
            *lent = Some(self.memory.take(output));
        }
        let x = self.inputs(input);
        let worthwhile = linears.iter().any(|linear| x.worth_sharing(linear));
        let tiles = linears.iter().zip(lent.iter_mut().flatten()).flat_map(|(linear, lent)| {
            let out = RowsMut::new(lent.data(), linear.out);
            tiles(linear, out).map(move |(tile, out)| (linear, tile, out))
        });
        self.pool.for_each_if(worthwhile, tiles, |_, (linear, tile, mut out)| {
            x.multiply(linear, tile, &mut out);
        });
        for (lent, &output) in lent.into_iter().flatten().zip(outputs) {
            self.memory.put_back(output, lent);
        }
    }

    /// A product of the first input, added to the second.
    pub(super) fn residual(&mut self, linear: &Linear, inputs: &[Value], output: Value) {
        let &[input, residual] = inputs else {
            unreachable!("a residual has a product's input and what it is added to")
        };
        self.quantize_for(linear.wants_q8(), input);
        let mut lent = self.memory.take(output);
        let x = self.inputs(input);
        let residual = self.memory.read(residual);
        let tiles = tiles(linear, RowsMut::new(lent.data(), linear.out));
        self.pool.for_each_if(x.worth_sharing(linear), tiles, |_, (tile, mut out)| {
            x.multiply(linear, tile, &mut out);
            for row in 0..out.rows() {
                let other = &residual.row(row)[tile.column..tile.column + tile.rows];
                x.kernels.add(out.row_mut(row), other);
            }
        });
        self.memory.put_back(output, lent);
    }

    /// A gated pair: the result, and behind it the memory for what the gate is multiplied with.
    pub(super) fn gated(&mut self, pair: &GatedPair, input: Value, outputs: &[Value]) {
        let &[output, raised] = outputs else {
            unreachable!("a gated pair has a result and room for the other half")
        };
        self.quantize_for(pair.wants_q8(), input);
        let (mut lent, mut room) = (self.memory.take(output), self.memory.take(raised));
        gated(self.pool, pair, &self.inputs(input), lent.data(), room.data());
        self.memory.put_back(raised, room);
        self.memory.put_back(output, lent);
    }

    /// Makes the 8-bit rows of a value, unless they are there.
    fn quantize_for(&mut self, wanted: bool, input: Value) {
        let quantized = &mut self.scratch.quantized;
        if wanted && quantized.of != Some(input) {
            quantize(self.pool, self.kernels, self.memory.read(input), quantized);
            quantized.of = Some(input);
        }
    }

    fn inputs(&self, input: Value) -> Inputs<'_> {
        let q8 = self.scratch.quantized.view();
        Inputs { kernels: self.kernels, x: self.memory.read(input), q8 }
    }
}

/// Fills `quantized` with rows in 8 bits. Whose they are is for the caller to note.
pub(super) fn quantize(pool: &Pool, kernels: &Kernels, rows: Rows<'_>, quantized: &mut Quantized) {
    quantized.of = None;
    let width = rows.width();
    let out = quantized.buffer.reset(rows.len(), width);
    let worthwhile = rows.data().len() >= elementwise::WORTH_SHARING && rows.len() > QUANTIZED_ROWS;
    let blocks = out.chunks(QUANTIZED_ROWS).zip(rows.data().chunks(QUANTIZED_ROWS * width));
    pool.for_each_if(worthwhile, blocks, |_, (out, rows)| {
        out.quantize(kernels, Rows::new(rows, width));
    });
}

/// What is multiplied, and by which table.
pub(super) struct Inputs<'a> {
    pub kernels: &'static Kernels,
    pub x: Rows<'a>,
    /// `x` in 8 bits if some part of the weight wants it.
    pub q8: Q8Rows<'a>,
}

impl Inputs<'_> {
    fn worth_sharing(&self, linear: &Linear) -> bool {
        self.x.len() * linear.columns * linear.out >= WORTH_SHARING
    }

    /// The columns of `x Wᵀ + b` that belong to a tile.
    fn multiply(&self, linear: &Linear, tile: &Tile, out: &mut ColumnsMut<'_>) {
        let part = &linear.parts[tile.part];
        let activations =
            if part.wants_q8() { Activations::Q8(self.q8) } else { Activations::F32(self.x) };
        part.multiply(tile.first..tile.first + tile.rows, &activations, out);
        if let Some(bias) = &linear.bias {
            let bias = &bias[tile.column..tile.column + tile.rows];
            (0..out.rows()).for_each(|row| self.kernels.add(out.row_mut(row), bias));
        }
    }
}

/// `out = x Wᵀ + b`.
pub(super) fn multiply(pool: &Pool, linear: &Linear, x: &Inputs<'_>, out: RowsMut<'_>) {
    let tiles = tiles(linear, out);
    pool.for_each_if(x.worth_sharing(linear), tiles, |_, (tile, mut out)| {
        x.multiply(linear, tile, &mut out);
    });
}

/// `out = activation(x Gᵀ) * (x Uᵀ)`. `room` is as large as `out`.
pub(super) fn gated(
    pool: &Pool,
    pair: &GatedPair,
    x: &Inputs<'_>,
    out: &mut [f32],
    room: &mut [f32],
) {
    let GatedPair { gate, up, activation } = pair;
    if gate.tiles != up.tiles {
        // A half in parts, the other in one: they meet when both are done.
        multiply(pool, gate, x, RowsMut::new(out, gate.out));
        multiply(pool, up, x, RowsMut::new(room, up.out));
        x.kernels.activate(*activation, out);
        return x.kernels.multiply(out, room);
    }
    let gates = tiles(gate, RowsMut::new(out, gate.out));
    let ups = tiles(up, RowsMut::new(room, up.out));
    let pairs = gates.zip(ups).map(|((tile, gate), (_, up))| (tile, gate, up));
    pool.for_each_if(x.worth_sharing(gate), pairs, |_, (tile, mut out, mut room)| {
        x.multiply(gate, tile, &mut out);
        x.multiply(up, tile, &mut room);
        for row in 0..out.rows() {
            let out = out.row_mut(row);
            x.kernels.activate(*activation, out);
            x.kernels.multiply(out, room.row_mut(row));
        }
    });
}

/// The tiles of a product, with the columns of the output that each makes.
fn tiles<'a>(
    linear: &'a Linear,
    out: RowsMut<'a>,
) -> impl Iterator<Item = (&'a Tile, ColumnsMut<'a>)> + Send {
    let mut rest = Some(ColumnsMut::new(out));
    linear.tiles.iter().filter_map(move |tile| {
        let (own, right) = rest.take()?.split_at(tile.rows);
        rest = Some(right);
        Some((tile, own))
    })
}
