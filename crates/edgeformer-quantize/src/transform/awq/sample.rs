//! Rows of a matrix that stand for all.

use edgeformer_core::Tensor;
use edgeformer_models::checkpoint::Checkpoint;

use crate::Result;
use crate::calibration::ImatrixEntry;
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
    /// `E[x²]` of every column.
    pub importance: Vec<f32>,
    /// How many rows of the matrix each of these stands for.
    pub share: f64,
}

impl Sample {
    /// Of every matrix of a reader, with `elements` in all, at least one row each. Matrices whose
    /// channels were never seen (experts that no token picked) are left out. Columns matter as
    /// `entry` says, and where it says nothing as their channels do on average (`squares`).
    pub fn of(
        checkpoint: &Checkpoint,
        reader: &Reader,
        entry: Option<&ImatrixEntry>,
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
            let average = || channels.iter().map(|&at| squares[at].unwrap_or(0.0)).collect();
            let seen = entry.filter(|entry| entry.counts.get(matrix).is_some_and(|&n| n > 0.0));
            let importance = seen.and_then(|entry| entry.importance(matrix));
            let places = (0..wanted).map(|index| matrix * rows + index * rows / wanted);
            samples.push(Self {
                weight: reader.weight.clone(),
                columns,
                rows: read_rows(&tensor, places)?,
                importance: importance.unwrap_or_else(average),
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
