//! Rotary position embedding.

use edgeformer_core::graph::{Rope, RopeLayout, Value};

use super::elementwise::WORTH_SHARING;
use super::run::Executor;
use super::scratch::Turns;
use crate::program::RopeTable;

/// Positions from which on angles are computed in f64.
const FAR: usize = 1 << 18;

impl Executor<'_> {
    /// Sines and cosines of all rows of the step, once for all layers.
    pub(super) fn turn_ropes(&mut self) {
        let program = self.program;
        for (table, turns) in program.code.ropes.iter().zip(&mut self.scratch.ropes) {
            let RopeTable { rope, rows } = table;
            let Turns { frequencies, values } = turns;
            let width = table.width();
            let factor = rope.attention_factor();
            let count = self.rows.count(*rows);
            for (row, turned) in values.chunks_exact_mut(width).take(count).enumerate() {
                let position = self.rows.position(*rows, row);
                let (cosines, sines) = turned.split_at_mut(width / 2);
                for ((cosine, sine), frequency) in cosines.iter_mut().zip(sines).zip(&*frequencies)
                {
                    let (s, c) = turn(position, *frequency);
                    (*cosine, *sine) = (c * factor, s * factor);
                }
            }
        }
    }

    /// Rotates `value`.
    pub(super) fn rope(&mut self, table: usize, rope: &Rope, value: Value) {
        let compact = self.memory.is_compact(value);
        let width = self.memory.width(value);
        let head = width / rope.heads;
        let mut lent = self.memory.take(value);
        let data = lent.data();
        let turned = &self.scratch.ropes[table].values;
        let rows = self.rows;
        let worthwhile = data.len() >= WORTH_SHARING;
        let blocks = data.chunks_mut(16 * width).enumerate();
        self.pool.for_each_if(worthwhile, blocks, |_, (block, part)| {
            for (row, values) in part.chunks_exact_mut(width).enumerate() {
                let full = rows.full_row(compact, 16 * block + row);
                let turned = &turned[full * rope.dims..][..rope.dims];
                let (cosines, sines) = turned.split_at(rope.dims / 2);
                for head in values.chunks_exact_mut(head) {
                    rotate(rope.layout, &mut head[..rope.dims], cosines, sines);
                }
            }
        });
        self.memory.put_back(value, lent);
    }
}

/// Sine and cosine of a position.
fn turn(position: usize, frequency: f32) -> (f32, f32) {
    // Beyond what models were trained on, in an endless stream, f32 could not tell positions apart.
    if position < FAR {
        return (position as f32 * frequency).sin_cos();
    }
    let (sine, cosine) = (position as f64 * f64::from(frequency)).sin_cos();
    (sine as f32, cosine as f32)
}

fn rotate(layout: RopeLayout, columns: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let turns = cosines.iter().zip(sines);
    match layout {
        RopeLayout::Halves => {
            let (left, right) = columns.split_at_mut(cosines.len());
            for ((a, b), (cosine, sine)) in left.iter_mut().zip(right).zip(turns) {
                (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
            }
        }
        RopeLayout::Interleaved => {
            for ([a, b], (cosine, sine)) in columns.as_chunks_mut().0.iter_mut().zip(turns) {
                (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_turn_in_both_layouts() {
        let mut halves = [1.0, 2.0, 3.0, 4.0];
        rotate(RopeLayout::Halves, &mut halves, &[0.0, 1.0], &[1.0, 0.0]);
        assert_eq!(halves, [-3.0, 2.0, 1.0, 4.0]);
        let mut pairs = [1.0, 2.0, 3.0, 4.0];
        rotate(RopeLayout::Interleaved, &mut pairs, &[0.0, 1.0], &[1.0, 0.0]);
        assert_eq!(pairs, [-2.0, 1.0, 3.0, 4.0]);
    }
}
