//! Ops on rows.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use edgeformer_core::graph::{
    Activation, GraphInput, Norm, NormKind, Pool, Rope, RopeLayout, Unfold, WeightId,
};
use edgeformer_core::{Error, Input, Result};

use super::matrix::Matrix;
use super::{Evaluator, add};

impl Evaluator<'_> {
    /// `x Wᵀ + b`.
    pub(super) fn linear(
        &self,
        x: &Matrix,
        weight: WeightId,
        bias: Option<WeightId>,
    ) -> Result<Matrix> {
        let weight = self.weight(weight)?;
        let product = x.map_rows(|_, row| weight.times(row));
        let Some(bias) = bias else { return Ok(product) };
        let bias = self.weight(bias)?;
        Ok(product.map_rows(|_, row| add(row, bias.data())))
    }

    /// Root-mean-square normalisation (arXiv 1910.07467) or layer normalisation (arXiv 1607.06450)
    /// of each group of columns.
    pub(super) fn norm(&self, norm: &Norm, x: &Matrix) -> Result<Matrix> {
        let size = x.width() / norm.groups;
        let one = |weight: Option<WeightId>| weight.map(|weight| self.weight(weight)).transpose();
        let (weight, bias) = (one(norm.weight)?, one(norm.bias)?);
        let offset = f64::from(norm.weight_offset);
        Ok(x.map_rows(|_, row| {
            let mut out = Vec::new();
            for group in row.chunks_exact(size) {
                let mean = match norm.kind {
                    NormKind::Rms => 0.0,
                    NormKind::Layer => group.iter().sum::<f64>() / size as f64,
                };
                let squares: f64 = group.iter().map(|value| (value - mean).powi(2)).sum();
                let root = (squares / size as f64 + f64::from(norm.eps)).sqrt();
                out.extend(group.iter().enumerate().map(|(index, value)| {
                    let weight =
                        weight.as_ref().map_or(1.0, |weight| weight.data()[index] + offset);
                    let bias = bias.as_ref().map_or(0.0, |bias| bias.data()[index]);
                    (value - mean) / root * weight + bias
                }));
            }
            out
        }))
    }

    /// Windows of the input, channel by channel, zeros outside.
    pub(super) fn unfold(&self, unfold: &Unfold) -> Result<Matrix> {
        let pixels = match (self.input, self.model.graph.input) {
            (Input::Pixels(values), GraphInput::Pixels { .. })
            | (Input::Signal(values), GraphInput::Signal { .. }) => values,
            _ => return Err(Error::Step("the input is not of the graph's kind".into())),
        };
        let &Unfold { channels, size, kernel, stride, padding } = unfold;
        let [down, across] = unfold.patches().unwrap_or_default();
        let pixel = |channel: usize, place: [usize; 2]| {
            let inside = [0, 1].map(|axis| {
                place[axis].checked_sub(padding[axis]).filter(|&inside| inside < size[axis])
            });
            match inside {
                [Some(y), Some(x)] => f64::from(pixels[(channel * size[0] + y) * size[1] + x]),
                _ => 0.0,
            }
        };
        let mut values = Vec::new();
        for patch in 0..down * across {
            let corner = [patch / across * stride[0], patch % across * stride[1]];
            for channel in 0..channels {
                for tap in 0..kernel[0] * kernel[1] {
                    let place = [corner[0] + tap / kernel[1], corner[1] + tap % kernel[1]];
                    values.push(pixel(channel, place));
                }
            }
        }
        Ok(Matrix::new(values, unfold.patch_len()))
    }
}

/// Piece `i` of every group, side by side.
pub(super) fn split(x: &Matrix, groups: usize, widths: &[usize]) -> Vec<Matrix> {
    let mut start = 0;
    let mut pieces = Vec::new();
    for &width in widths {
        pieces.push(x.map_rows(|index, _| {
            let piece = |group| x.part(index, group, groups)[start..start + width].to_vec();
            (0..groups).flat_map(piece).collect()
        }));
        start += width;
    }
    pieces
}

/// Columns side by side.
pub(super) fn concat(inputs: &[&Matrix]) -> Matrix {
    inputs[0].map_rows(|index, _| inputs.iter().flat_map(|x| x.row(index).to_vec()).collect())
}

/// Turns each pair of columns of a head by its frequency times the position (arXiv 2104.09864).
pub(super) fn rope(rope: &Rope, context: usize, x: &Matrix) -> Matrix {
    let frequencies = rope.frequencies(context);
    let factor = f64::from(rope.attention_factor());
    let size = x.width() / rope.heads;
    x.map_rows(|position, row| {
        let mut row = row.to_vec();
        for head in row.chunks_exact_mut(size) {
            for (pair, &frequency) in frequencies.iter().enumerate() {
                let (a, b) = match rope.layout {
                    RopeLayout::Halves => (pair, pair + rope.dims / 2),
                    RopeLayout::Interleaved => (2 * pair, 2 * pair + 1),
                };
                let (sin, cos) = (position as f64 * f64::from(frequency)).sin_cos();
                let (x, y) = (head[a], head[b]);
                head[a] = (x * cos - y * sin) * factor;
                head[b] = (y * cos + x * sin) * factor;
            }
        }
        row
    })
}

/// One row of all.
pub(super) fn pool(pool: Pool, x: &Matrix) -> Matrix {
    let column = |index: usize| x.rows().map(move |row| row[index]);
    let row = match pool {
        Pool::Class => x.row(0).to_vec(),
        Pool::Last => x.row(x.len() - 1).to_vec(),
        Pool::Mean => {
            (0..x.width()).map(|index| column(index).sum::<f64>() / x.len() as f64).collect()
        }
        Pool::Max => {
            (0..x.width()).map(|index| column(index).fold(f64::NEG_INFINITY, f64::max)).collect()
        }
    };
    Matrix::new(row, x.width())
}

pub(super) fn soft_cap(x: f64, cap: f32) -> f64 {
    let cap = f64::from(cap);
    cap * (x / cap).tanh()
}

pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

pub(super) fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Silu => x * sigmoid(x),
        Activation::Gelu => x * 0.5 * (1.0 + erf(x * FRAC_1_SQRT_2)),
        Activation::GeluTanh => {
            x * 0.5 * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        Activation::Relu => x.max(0.0),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
    }
}

/// The error function, by the series whose terms are all positive (Abramowitz and Stegun, 7.1.6).
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let mut term = x;
    let mut sum = x;
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function_has_its_known_values() {
        for (x, expected) in [(0.0, 0.0), (0.5, 0.520_499_877_813), (2.0, 0.995_322_265_019)] {
            assert!((erf(x) - expected).abs() < 1e-11, "{x}");
            assert!((erf(-x) + expected).abs() < 1e-11, "-{x}");
        }
        assert!((erf(5.9) - 1.0).abs() < 1e-13);
    }

    #[test]
    fn split_parts_each_group_alike() {
        let x = Matrix::new((0..6).map(f64::from).collect(), 6);
        let pieces = split(&x, 2, &[1, 2]);
        assert_eq!(pieces[0].data(), [0.0, 3.0]);
        assert_eq!(pieces[1].data(), [1.0, 2.0, 4.0, 5.0]);
    }

    #[test]
    fn rope_turns_by_the_position() {
        let rope_op = Rope {
            heads: 1,
            dims: 2,
            layout: RopeLayout::Halves,
            base: 10_000.0,
            scaling: edgeformer_core::graph::RopeScaling::None,
        };
        let x = Matrix::new(vec![1.0, 0.0, 7.0, 1.0, 0.0, 7.0], 3);
        let turned = rope(&rope_op, 2, &x);
        assert_eq!(turned.row(0), [1.0, 0.0, 7.0]);
        assert_eq!(turned.row(1), [1f64.cos(), 1f64.sin(), 7.0]);
    }
}
