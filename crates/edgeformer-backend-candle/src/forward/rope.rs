use std::sync::Arc;

use candle_core::{D, Tensor};
use edgeformer_core::Graph;
use edgeformer_core::graph::{Op, Rope, RopeLayout};

use super::evaluate::Evaluator;
use super::fused::{self, Turning};
use super::places::{Places, Rows};
use crate::error::Result;

/// The rotary embeddings of a graph: those of one series of frequencies share their tables.
pub(crate) struct Ropes {
    /// By node, which series it uses.
    of_node: Vec<Option<usize>>,
    series: Vec<Series>,
}

struct Series {
    /// Radians a position, of each pair of columns.
    frequencies: Vec<f32>,
    /// What sines and cosines are multiplied with.
    factor: f32,
}

impl Ropes {
    /// The series for sessions of that context.
    pub fn new(graph: &Graph, context: usize) -> Self {
        let mut ropes = Self { of_node: Vec::new(), series: Vec::new() };
        let mut known: Vec<&Rope> = Vec::new();
        for node in &graph.nodes {
            let Op::Rope(rope) = &node.op else {
                ropes.of_node.push(None);
                continue;
            };
            let same = |other: &&Rope| {
                other.dims == rope.dims && other.base == rope.base && other.scaling == rope.scaling
            };
            let index = known.iter().position(same).unwrap_or_else(|| {
                known.push(rope);
                let factor = rope.attention_factor();
                ropes.series.push(Series { frequencies: rope.frequencies(context), factor });
                known.len() - 1
            });
            ropes.of_node.push(Some(index));
        }
        ropes
    }
}

/// Cosines and sines of a step's positions, made when they are first asked for.
pub(super) struct Turns<'a> {
    ropes: &'a Ropes,
    made: Vec<Option<Turn>>,
}

#[derive(Clone)]
struct Turn {
    at: Arc<Places>,
    /// `[rows, 1, pairs]`.
    cos: Tensor,
    sin: Tensor,
}

impl<'a> Turns<'a> {
    pub fn new(ropes: &'a Ropes) -> Self {
        Self { ropes, made: vec![None; ropes.series.len()] }
    }
}

impl Evaluator<'_, '_> {
    /// Turns each pair of columns of a head by its frequency times the position.
    pub(super) fn rope(&mut self, node: usize, rope: &Rope, rows: &Rows) -> Result<Rows> {
        let Turn { cos, sin, .. } = self.turn(node, &rows.at)?;
        let (count, width) = rows.x.dims2()?;
        let size = width / rope.heads;
        if fused::serves(&rows.x) {
            let op = Turning { heads: rope.heads, pairs: rope.dims / 2, layout: rope.layout };
            return Ok(rows.with(rows.x.contiguous()?.apply_op3(&cos, &sin, op)?));
        }
        let x = rows.x.reshape((count, rope.heads, size))?;
        let pairs = rope.dims / 2;
        let (a, b) = match rope.layout {
            RopeLayout::Halves => (x.narrow(2, 0, pairs)?, x.narrow(2, pairs, pairs)?),
            RopeLayout::Interleaved => {
                let x = x.narrow(2, 0, rope.dims)?.reshape((count, rope.heads, pairs, 2))?;
                (x.narrow(3, 0, 1)?.squeeze(3)?, x.narrow(3, 1, 1)?.squeeze(3)?)
            }
        };
        let turned_a = a.broadcast_mul(&cos)?.sub(&b.broadcast_mul(&sin)?)?;
        let turned_b = b.broadcast_mul(&cos)?.add(&a.broadcast_mul(&sin)?)?;
        let turned = match rope.layout {
            RopeLayout::Halves => Tensor::cat(&[turned_a, turned_b], 2)?,
            RopeLayout::Interleaved => Tensor::stack(&[turned_a, turned_b], D::Minus1)?
                .reshape((count, rope.heads, rope.dims))?,
        };
        let whole = match size - rope.dims {
            0 => turned,
            rest => Tensor::cat(&[turned, x.narrow(2, rope.dims, rest)?], 2)?,
        };
        Ok(rows.with(whole.reshape((count, width))?))
    }

    fn turn(&mut self, node: usize, at: &Arc<Places>) -> Result<Turn> {
        let ropes = self.turns.ropes;
        let index = ropes.of_node[node].unwrap_or_default();
        match &self.turns.made[index] {
            Some(turn) if *turn.at == **at => Ok(turn.clone()),
            _ => {
                let turn = self.make_turn(&ropes.series[index], at)?;
                self.turns.made[index] = Some(turn.clone());
                Ok(turn)
            }
        }
    }

    fn make_turn(&self, series: &Series, at: &Arc<Places>) -> Result<Turn> {
        let weights = self.call.weights;
        let (rows, pairs) = (at.len(), series.frequencies.len());
        let (mut cosines, mut sines) =
            (Vec::with_capacity(rows * pairs), Vec::with_capacity(rows * pairs));
        for position in at.positions() {
            for &frequency in &series.frequencies {
                // Angles are thousands of radians: f32 would lose their fraction.
                let (sin, cos) = (position as f64 * f64::from(frequency)).sin_cos();
                cosines.push(cos as f32 * series.factor);
                sines.push(sin as f32 * series.factor);
            }
        }
        let tensor = |values| -> Result<Tensor> {
            let tensor = Tensor::from_vec(values, (rows, 1, pairs), weights.device())?;
            Ok(tensor.to_dtype(weights.dtype())?)
        };
        Ok(Turn { at: at.clone(), cos: tensor(cosines)?, sin: tensor(sines)? })
    }
}
