//! Low-rank adapters merged into the weights: `W + Σ scale · B A` (LoRA, arXiv 2106.09685, section
//! 4.1), computed in f32.

use edgeformer_core::{Adapter, Format, LowRank, Tensor};
use edgeformer_models::checkpoint::{Checkpoint, LazyTensor};

use crate::rounding::share::{rows_each, share};
use crate::rounding::{InputStats, Method, Objective, round_matrix};
use crate::{Error, Result};

/// Weights that are floats at a time.
const SLICE: usize = 4 << 20;
/// The table of embeddings, which is the head too where there is no `output.weight`.
const TABLE: &str = "token_embd.weight";

/// The formats that merged weights get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Formats {
    /// That of each weight, quantized ones rounded again.
    #[default]
    Own,
    /// Floats: that of each weight, f16 where it was quantized.
    Floats,
    /// f32, to be converted.
    F32,
}

impl Formats {
    fn of(self, format: Format) -> Format {
        match self {
            Self::Own => format,
            Self::Floats if format.is_float() => format,
            Self::Floats => Format::F16,
            Self::F32 => Format::F32,
        }
    }
}

/// The checkpoint with adapters merged into it. Weights are computed when they are asked for, each
/// rounded once.
///
/// # Errors
/// If a weight of an adapter is not in the checkpoint or of another shape, or is a table that the
/// head shares.
pub fn merge(
    checkpoint: &Checkpoint,
    adapters: &[Adapter],
    formats: Formats,
    threads: usize,
) -> Result<Checkpoint> {
    for adapter in adapters {
        for (name, pair) in &adapter.pairs {
            check(checkpoint, name, pair).map_err(|problem| adapter.error(name, problem))?;
        }
    }
    let mut merged = checkpoint.clone();
    for tensor in &mut merged.tensors {
        let pairs = adapters.iter().filter_map(|adapter| adapter.pairs.get(tensor.name()));
        let pairs: Vec<LowRank> = pairs.cloned().collect();
        if !pairs.is_empty() {
            *tensor = lazily(tensor.clone(), pairs, formats, threads);
        }
    }
    Ok(merged)
}

fn check(checkpoint: &Checkpoint, name: &str, pair: &LowRank) -> Result<(), String> {
    let tensor = checkpoint
        .tensor(name)
        .ok_or("the model has no such weight: the adapter belongs to another")?;
    if name == TABLE && !checkpoint.has_head() {
        return Err("the model's head is the same table, and the adapter is not for it: such an adapter cannot be merged".into());
    }
    pair.check(tensor.shape())
}

fn lazily(source: LazyTensor, pairs: Vec<LowRank>, formats: Formats, threads: usize) -> LazyTensor {
    let format = formats.of(source.format());
    let (name, shape) = (source.name().to_owned(), source.shape().to_vec());
    LazyTensor::new(name, format, shape, move || {
        let tensor = source.load()?;
        merged(&tensor, &pairs, format, threads)
            .map_err(|error| told(Error::tensor(source.name(), error.to_string())))
    })
}

/// The error that makers of tensors have.
fn told(error: Error) -> edgeformer_models::Error {
    edgeformer_models::Error::Text(error.to_string())
}

/// A tensor with pairs added, in another format.
///
/// # Errors
/// If a sum is no number, or too large for the format.
fn merged(tensor: &Tensor, pairs: &[LowRank], format: Format, threads: usize) -> Result<Tensor> {
    let columns = tensor.row_len();
    let matrices = pairs.iter().map(Matrices::of).collect::<Vec<_>>();
    let rows = tensor.elements() / columns;
    let row_bytes = columns / tensor.format().block_len() * tensor.format().block_bytes();
    let method = Method::KQuant { objective: Objective::default() };
    let mut bytes = Vec::with_capacity(format.tensor_bytes(tensor.shape())?);
    for first in (0..rows).step_by((SLICE / columns).max(1)) {
        let end = rows.min(first + (SLICE / columns).max(1));
        let mut values = vec![0.0; (end - first) * columns];
        tensor
            .format()
            .dequantize(&tensor.bytes()[first * row_bytes..end * row_bytes], &mut values)?;
        let each = rows_each(columns);
        share(&mut values, each * columns, threads, |index, values| {
            for (row, values) in (first + index * each..).zip(values.chunks_exact_mut(columns)) {
                matrices.iter().for_each(|pair| pair.add_row(row, values));
            }
            Ok(())
        })?;
        check_values(&values, format, columns, first)?;
        bytes.extend(round_matrix(
            &values,
            columns,
            format,
            &method,
            &InputStats::default(),
            threads,
        )?);
    }
    Ok(Tensor::new(format, tensor.shape(), bytes.into())?)
}

fn check_values(values: &[f32], format: Format, columns: usize, first: usize) -> Result<()> {
    // From 65520 on, f16 is infinite.
    let most = if format == Format::F16 { 65520.0 } else { f32::INFINITY };
    let Some(at) = values.iter().position(|value| value.is_nan() || value.abs() >= most) else {
        return Ok(());
    };
    let (row, column) = (first + at / columns, at % columns);
    Err(Error::Request(format!(
        "weight [{row}, {column}] becomes {}, which {format} does not hold: lower the adapter's scale, or choose another output type",
        values[at]
    )))
}

/// A pair as numbers: one matrix, or as many as are stacked.
struct Matrices {
    a: Vec<f32>,
    /// Times the scale.
    b: Vec<f32>,
    rank: usize,
    /// Rows of one matrix.
    rows: usize,
}

impl Matrices {
    fn of(pair: &LowRank) -> Self {
        let b = pair.b.to_f32().into_iter().map(|b| b * pair.scale).collect();
        let shape = pair.b.shape();
        Self { a: pair.a.to_f32(), b, rank: pair.rank(), rows: shape[shape.len() - 2] }
    }

    /// Adds row `row` of `scale · B A`, counted through all matrices.
    fn add_row(&self, row: usize, values: &mut [f32]) {
        let columns = values.len();
        let a = &self.a[row / self.rows * self.rank * columns..];
        let factors = &self.b[row * self.rank..(row + 1) * self.rank];
        for (factor, a) in factors.iter().zip(a.chunks_exact(columns)) {
            values.iter_mut().zip(a).for_each(|(value, a)| *value += factor * a);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matrices(shape: &[usize], seed: usize) -> Tensor {
        let count = shape.iter().product();
        let values: Vec<f32> =
            (0..count).map(|i| ((i * 7919 + seed * 31) % 97) as f32 / 48.0 - 1.0).collect();
        Tensor::from_f32(shape, &values).expect("fits")
    }

    /// `W + Σ scale · B A`, plainly, in f64.
    fn plainly(
        weight: &Tensor,
        pairs: &[LowRank],
        count: usize,
        rows: usize,
        columns: usize,
    ) -> Vec<f64> {
        let mut sums: Vec<f64> = weight.to_f32().into_iter().map(f64::from).collect();
        for pair in pairs {
            let (a, b, rank) = (pair.a.to_f32(), pair.b.to_f32(), pair.rank());
            for (at, sum) in sums.iter_mut().enumerate() {
                let (matrix, row, column) =
                    (at / columns / rows, at / columns % rows, at % columns);
                assert!(matrix < count);
                *sum += (0..rank)
                    .map(|k| {
                        f64::from(b[(matrix * rows + row) * rank + k])
                            * f64::from(a[(matrix * rank + k) * columns + column])
                    })
                    .sum::<f64>()
                    * f64::from(pair.scale);
            }
        }
        sums
    }

    proptest! {
        #[test]
        fn sums_are_the_plain_ones(stack in prop::option::of(1usize..4), rows in 1usize..9, blocks in 1usize..3, ranks in prop::collection::vec((1usize..5, -2.0f32..2.0), 1..3), quantized: bool) {
            let (count, columns) = (stack.unwrap_or(1), 32 * blocks);
            let shaped = |tail: [usize; 2]| stack.into_iter().chain(tail).collect::<Vec<_>>();
            let mut weight = matrices(&shaped([rows, columns]), 1);
            if quantized {
                weight = Tensor::quantize(Format::Q8_0, weight.shape(), &weight.to_f32()).expect("fits");
            }
            let pairs: Vec<LowRank> = ranks.iter().map(|&(rank, scale)| LowRank {
                a: matrices(&shaped([rank, columns]), 2),
                b: matrices(&shaped([rows, rank]), 3),
                scale,
            }).collect();
            let expected = plainly(&weight, &pairs, count, rows, columns);
            let exact = merged(&weight, &pairs, Format::F32, 2).expect("merges");
            for (found, expected) in exact.to_f32().iter().zip(&expected) {
                prop_assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} {expected}");
            }
            let own = merged(&weight, &pairs, weight.format(), 1).expect("merges");
            prop_assert_eq!(own.format(), weight.format());
            let most = expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
            let errors = own.to_f32().into_iter().zip(&expected);
            let squares = errors.map(|(found, expected)| (f64::from(found) - expected).powi(2));
            let error = (squares.sum::<f64>() / expected.len() as f64).sqrt();
            prop_assert!(error <= most / 200.0 + 1e-4, "{error} {most}");
        }
    }

    #[test]
    fn what_a_format_does_not_hold_is_told() {
        let weight = Tensor::from_f32([2, 2], &[0.0; 4]).expect("fits");
        let pair = LowRank {
            a: Tensor::from_f32([1, 2], &[1.0, 0.0]).expect("fits"),
            b: Tensor::from_f32([2, 1], &[0.0, 1.0]).expect("fits"),
            scale: 1e6,
        };
        let error =
            merged(&weight, std::slice::from_ref(&pair), Format::F16, 1).expect_err("too large");
        assert!(error.to_string().contains("weight [1, 0] becomes 1000000"), "{error}");
        merged(&weight, &[pair], Format::BF16, 1).expect("fits");
    }
}
