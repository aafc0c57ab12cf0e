//! Moves scales from what makes channels to what reads them.

use std::sync::Arc;

use edgeformer_models::checkpoint::Checkpoint;

use super::edit::{columns, edit, matrices, need};
use super::fold::{Foldable, Reader, Rows, Source};
use crate::calibration::Imatrix;
use crate::{Error, Result};

/// Divides what makes the channels by `scales` and multiplies the columns of all readers with
/// them: the model computes what it did.
///
/// # Errors
/// If there are not as many scales as channels, one is not positive, or a tensor is missing.
pub fn fold_scales(checkpoint: &mut Checkpoint, pair: &Foldable, scales: &[f32]) -> Result<()> {
    check(pair, scales)?;
    let scales: Arc<[f32]> = scales.into();
    match &pair.source {
        Source::Norm { weight, bias, .. } => {
            divide(checkpoint, weight, &scales)?;
            bias.as_ref().map_or(Ok(()), |bias| divide(checkpoint, bias, &scales))?;
        }
        Source::Rows(rows) => {
            divide_rows(checkpoint, &rows.weight, rows, &scales)?;
            let bias = rows.bias.as_ref();
            bias.map_or(Ok(()), |bias| divide_rows(checkpoint, bias, rows, &scales))?;
        }
    }
    pair.readers.iter().try_for_each(|reader| multiply_columns(checkpoint, reader, &scales))
}

/// Makes an importance matrix that of the model after [`fold_scales`]: readers see their inputs
/// divided by the scales.
///
/// # Errors
/// If there are not as many scales as channels, or one is not positive.
pub fn scale_imatrix(imatrix: &mut Imatrix, pair: &Foldable, scales: &[f32]) -> Result<()> {
    check(pair, scales)?;
    for reader in &pair.readers {
        let Some(entry) = imatrix.entries.get_mut(&reader.weight) else { continue };
        let columns = entry.columns.max(1);
        let scale = |at: usize| scales[reader.channel(at / columns, columns, at % columns)];
        for (at, sum) in entry.sums.iter_mut().enumerate() {
            *sum /= scale(at).powi(2);
        }
        for (at, largest) in entry.largest.iter_mut().enumerate() {
            *largest /= scale(at);
        }
    }
    Ok(())
}

fn check(pair: &Foldable, scales: &[f32]) -> Result<()> {
    let right = |scale: &f32| scale.is_finite() && *scale > 0.0;
    if scales.len() == pair.channels && scales.iter().all(right) {
        return Ok(());
    }
    let (count, channels) = (scales.len(), pair.channels);
    let problem = format!("{count} scales for {channels} channels, each must be positive");
    Err(Error::tensor(pair.name(), problem))
}

fn divide(checkpoint: &mut Checkpoint, name: &str, scales: &Arc<[f32]>) -> Result<()> {
    let scales = scales.clone();
    edit(checkpoint, name, move |values| {
        values.iter_mut().zip(scales.iter()).for_each(|(value, scale)| *value /= scale);
        Ok(())
    })
}

/// Of a matrix, or of its bias, which has a value a row.
fn divide_rows(
    checkpoint: &mut Checkpoint,
    name: &str,
    rows: &Rows,
    scales: &Arc<[f32]>,
) -> Result<()> {
    let tensor = need(checkpoint, name)?;
    let width = if tensor.shape().len() > 1 { columns(tensor) } else { 1 };
    let (rows, scales) = (rows.clone(), scales.clone());
    edit(checkpoint, name, move |values| {
        for (channel, scale) in scales.iter().enumerate() {
            let row = &mut values[rows.row(channel) * width..][..width];
            row.iter_mut().for_each(|value| *value /= scale);
        }
        Ok(())
    })
}

fn multiply_columns(
    checkpoint: &mut Checkpoint,
    reader: &Reader,
    scales: &Arc<[f32]>,
) -> Result<()> {
    let tensor = need(checkpoint, &reader.weight)?;
    let (columns, matrices) = (columns(tensor), matrices(tensor));
    let matrix_len = tensor.elements() / matrices.max(1);
    let (owned, scales) = (reader.clone(), scales.clone());
    edit(checkpoint, &reader.weight, move |values| {
        for (matrix, values) in values.chunks_exact_mut(matrix_len).enumerate() {
            let of_columns = owned.column_scales(matrix, columns, &scales);
            for row in values.chunks_exact_mut(columns) {
                row.iter_mut().zip(&of_columns).for_each(|(value, scale)| *value *= scale);
            }
        }
        Ok(())
    })
}

impl Reader {
    /// The scale of every column of a matrix.
    pub(super) fn column_scales(&self, matrix: usize, columns: usize, scales: &[f32]) -> Vec<f32> {
        (0..columns).map(|column| scales[self.channel(matrix, columns, column)]).collect()
    }
}
