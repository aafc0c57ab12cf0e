//! Rows of a matrix that stand for all.

use edgeformer_core::Tensor;
use edgeformer_models::checkpoint::Checkpoint;

use crate::Result;
use crate::transform::edit::{matrices, need};
use crate::transform::fold::Reader;

/// Evenly spaced rows of one matrix, the same every time.
pub(super) struct Sample {
    pub weight: String,
    pub columns: usize,
    /// Rows, one after the other.
    pub rows: Vec<f32>,
    /// The channel of every column.
    pub channels: Vec<usize>,
    /// How many rows of the matrix each of these stands for.
    pub share: f64,
}

impl Sample {
    /// Of every matrix of a reader, with `elements` in all, at least one row each. Matrices whose
    /// channels were never seen (experts that no token picked) are left out.
    pub fn of(
        checkpoint: &Checkpoint,
        reader: &Reader,
        squares: &[Option<f32>],
        elements: usize,
    ) -> Result<Vec<Self>> {
        let lazy = need(checkpoint, &reader.weight)?;
        let matrices = matrices(lazy);
        let tensor = lazy.load()?;
        let columns = tensor.row_len();
        let rows = tensor.elements() / columns / matrices;
        let wanted = (elements / columns / matrices).clamp(1, rows);
        let mut samples = Vec::new();
        for matrix in 0..matrices {
            let channels: Vec<usize> =
                (0..columns).map(|column| reader.channel(matrix, columns, column)).collect();
            if channels.iter().all(|&channel| squares[channel].is_none()) {
                continue;
            }
            let places = (0..wanted).map(|index| matrix * rows + index * rows / wanted);
            samples.push(Self {
                weight: reader.weight.clone(),
                columns,
                rows: read_rows(&tensor, places)?,
                channels,
                share: rows as f64 / wanted as f64,
            });
        }
        Ok(samples)
    }
}

fn read_rows(tensor: &Tensor, places: impl Iterator<Item = usize>) -> Result<Vec<f32>> {
    let columns = tensor.row_len();
    let row_bytes = tensor.format().tensor_bytes(&[columns])?;
    let mut values = Vec::new();
    for place in places {
        let from = values.len();
        values.resize(from + columns, 0.0);
        let bytes = &tensor.bytes()[place * row_bytes..][..row_bytes];
        tensor.format().dequantize(bytes, &mut values[from..])?;
    }
    Ok(values)
}
