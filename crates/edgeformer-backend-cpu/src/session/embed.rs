//! What goes into a graph: embeddings, positions, windows of an image.

use edgeformer_core::graph::{Unfold, Value};
use edgeformer_core::{Input, RowsMut};

use super::elementwise::WORTH_SHARING;
use super::run::Executor;
use crate::program::Table;

impl Executor<'_> {
    pub(super) fn embed(&mut self, table: &Table, scale: f32, output: Value) {
        let kernels = self.kernels;
        let width = self.memory.width(output);
        let mut lent = self.memory.take(output);
        let tokens = self.step.spans.iter().flat_map(|span| match span.input {
            Input::Tokens(tokens) => tokens,
            Input::Pixels(_) | Input::Signal(_) => &[],
        });
        let data = lent.data();
        let worthwhile = data.len() >= WORTH_SHARING;
        let rows = data.chunks_exact_mut(width).zip(tokens);
        self.pool.for_each_if(worthwhile, rows, |_, (row, &token)| {
            table.decode_row(token as usize, row);
            if scale != 1.0 {
                kernels.scale(row, scale);
            }
        });
        self.memory.put_back(output, lent);
    }

    /// Adds a row of `table` by position to every row of `value`, which holds what `input` held.
    pub(super) fn position(&mut self, table: &Table, offset: usize, input: Value, value: Value) {
        let kind = self.program.model.graph.values[input.index()].rows;
        let compact = self.memory.is_compact(value);
        let width = self.memory.width(value);
        let mut lent = self.memory.take(value);
        let mut scratch = self.scratch.threads[0].lock().unwrap_or_else(|e| e.into_inner());
        let added = &mut scratch.row[..width];
        for (row, values) in lent.data().chunks_exact_mut(width).enumerate() {
            let position = self.rows.position(kind, self.rows.full_row(compact, row));
            table.decode_row(position + offset, added);
            self.kernels.add(values, added);
        }
        self.memory.put_back(value, lent);
    }

    pub(super) fn unfold(&mut self, unfold: &Unfold, output: Value) {
        let width = self.memory.width(output);
        let mut lent = self.memory.take(output);
        let data = lent.data();
        let patches = data.len() / width / self.step.spans.len();
        for (span, rows) in self.step.spans.iter().zip(data.chunks_exact_mut(patches * width)) {
            if let Input::Pixels(input) | Input::Signal(input) = span.input {
                unfold_one(unfold, input, RowsMut::new(rows, width));
            }
        }
        self.memory.put_back(output, lent);
    }

    /// Puts `rows` before the rows of every sequence.
    pub(super) fn prepend(&mut self, rows: &[f32], input: Value, output: Value) {
        let spans = self.rows.spans().len();
        let mut lent = self.memory.take(output);
        let data = lent.data();
        let (all, own) = (data.len() / spans, data.len() / spans - rows.len());
        let inputs = self.memory.read(input).data().chunks_exact(own);
        for (out, input) in data.chunks_exact_mut(all).zip(inputs) {
            let (before, behind) = out.split_at_mut(rows.len());
            before.copy_from_slice(rows);
            behind.copy_from_slice(input);
        }
        self.memory.put_back(output, lent);
    }
}

/// The windows of one input, row after row of windows.
fn unfold_one(unfold: &Unfold, input: &[f32], mut out: RowsMut<'_>) {
    let Unfold { channels, size: [height, width], kernel, stride, padding } = *unfold;
    let across = unfold.patches().map_or(1, |[_, across]| across);
    for patch in 0..out.len() {
        let (down, right) = (patch / across * stride[0], patch % across * stride[1]);
        let mut values = out.row(patch).iter_mut();
        for channel in 0..channels {
            for y in down..down + kernel[0] {
                for x in right..right + kernel[1] {
                    // Outside is zero; below the padding wraps around to far outside.
                    let (y, x) = (y.wrapping_sub(padding[0]), x.wrapping_sub(padding[1]));
                    let inside = y < height && x < width;
                    if let Some(value) = values.next() {
                        let at = (channel * height).wrapping_add(y).wrapping_mul(width);
                        *value = if inside { input[at.wrapping_add(x)] } else { 0.0 };
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_step_over_a_padded_image() {
        let unfold =
            Unfold { channels: 2, size: [2, 3], kernel: [2, 2], stride: [1, 2], padding: [0, 1] };
        assert_eq!(unfold.patches(), Some([1, 2]));
        let input: Vec<f32> = (1..=12).map(|value| value as f32).collect();
        let mut out = [9.0; 16];
        unfold_one(&unfold, &input, RowsMut::new(&mut out, 8));
        assert_eq!(out[..8], [0., 1., 0., 4., 0., 7., 0., 10.]);
        assert_eq!(out[8..], [2., 3., 5., 6., 8., 9., 11., 12.]);
    }
}
