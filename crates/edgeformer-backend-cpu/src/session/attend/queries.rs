//! Query rows in the forms that keys ask for.

use edgeformer_core::graph::RopeLayout;

use crate::kernels::{Kernels, Queries};
use crate::program::QueryRope;

/// Room for query rows, as floats and in 8 bits.
#[derive(Default)]
pub(crate) struct QueryRoom {
    pub floats: Vec<f32>,
    pub codes: Vec<i8>,
    pub scales: Vec<f32>,
}

/// How cached keys differ from those that were computed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KeyForm {
    /// Length of the blocks that they are quantized in, if they are.
    pub block: Option<usize>,
    /// Length of the parts that were rotated by a Hadamard matrix, if any.
    pub rotation: Option<usize>,
}

impl QueryRoom {
    /// Brings the first `rows` rows of floats into the form of the keys.
    pub fn prepare(&mut self, kernels: &Kernels, form: KeyForm, rows: usize, width: usize) {
        let floats = &mut self.floats[..rows * width];
        if let Some(group) = form.rotation {
            kernels.hadamard(floats, group);
        }
        if let Some(block) = form.block {
            let scales = &mut self.scales[..floats.len() / block];
            kernels.quantize_queries(floats, block, &mut self.codes[..floats.len()], scales);
        }
    }

    /// The first `rows` rows.
    pub fn rows(&self, form: KeyForm, rows: usize, width: usize) -> Queries<'_> {
        let len = rows * width;
        let (codes, scales) = match form.block {
            Some(block) => (&self.codes[..len], &self.scales[..len / block]),
            None => (&[][..], &[][..]),
        };
        Queries { floats: &self.floats[..len], codes, scales, width }
    }
}

/// Turns a rotated query back by `positions`: its distance to keys behind a gap of so many is then
/// what it would be without the gap.
pub(crate) fn turn_back(
    query: &mut [f32],
    rope: &QueryRope,
    frequencies: &[f32],
    positions: usize,
) {
    if positions == 0 {
        return;
    }
    let half = rope.dims / 2;
    for (pair, &frequency) in frequencies.iter().enumerate().take(half) {
        let (left, right) = match rope.layout {
            RopeLayout::Halves => (pair, pair + half),
            RopeLayout::Interleaved => (2 * pair, 2 * pair + 1),
        };
        // A stream may be endless: f32 could not tell its positions apart.
        let (sine, cosine) = (positions as f64 * f64::from(frequency)).sin_cos();
        let (sine, cosine) = (sine as f32, cosine as f32);
        let (a, b) = (query[left], query[right]);
        query[left] = a * cosine + b * sine;
        query[right] = b * cosine - a * sine;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_back_undoes_a_rope() {
        for layout in [RopeLayout::Halves, RopeLayout::Interleaved] {
            let rope = QueryRope { table: 0, dims: 2, layout };
            let angle = 0.3f32 * 5.0;
            let mut query = [angle.cos(), angle.sin(), 7.0];
            turn_back(&mut query, &rope, &[0.3], 5);
            let error = (query[0] - 1.0).abs() + query[1].abs();
            assert!(error < 1e-6 && query[2] == 7.0, "{query:?}");
        }
    }
}
