//! Ops that move rows and columns.

use std::sync::Arc;

use candle_core::Tensor;
use edgeformer_core::AdapterScales;
use edgeformer_core::graph::{AdapterScale, Pool};

use super::places::{Places, Rows, below};
use crate::error::Result;

/// Adds the row of a table that belongs to each row's position.
pub(super) fn position(x: &Rows, table: &Tensor, offset: usize) -> Result<Rows> {
    let rows: Vec<u32> = x.at.positions().map(|position| (position + offset) as u32).collect();
    let known = table.dim(0)?;
    if let Some(&row) = rows.iter().find(|&&row| row as usize >= known) {
        let problem = format!("position {row} is outside a table of {known}");
        return Err(edgeformer_core::Error::Step(problem).into());
    }
    let rows = Tensor::from_vec(rows, x.at.len(), table.device())?;
    Ok(x.with(x.x.add(&table.index_select(&rows, 0)?)?))
}

/// Puts the same rows before those of each sequence.
pub(super) fn prepend(x: &Rows, rows: &Tensor) -> Result<Rows> {
    let mut parts = Vec::new();
    for range in x.at.ranges() {
        parts.extend([rows.clone(), x.part(range)?]);
    }
    let count = rows.dim(0)?;
    let at = Places::new(x.at.spans().iter().map(|&(first, rows)| (first, rows + count)));
    Ok(Rows { x: below(&parts)?, at: Arc::new(at) })
}

/// Multiplies the rows of each sequence with its own scale of an adapter; sequences behind the end of
/// `adapters` have the usual one.
pub(super) fn adapter_scale(
    x: &Rows,
    scale: &AdapterScale,
    adapters: &[AdapterScales],
) -> Result<Rows> {
    let factor = |index: usize| scale.of(adapters.get(index).unwrap_or(&AdapterScales::USUAL));
    let spans = x.at.spans();
    let first = factor(0);
    if (1..spans.len()).all(|index| factor(index) == first) {
        return Ok(if first == 1.0 {
            x.clone()
        } else {
            x.with(x.x.affine(f64::from(first), 0.0)?)
        });
    }
    let factors: Vec<f32> = (spans.iter().enumerate())
        .flat_map(|(index, &(_, count))| std::iter::repeat_n(factor(index), count))
        .collect();
    let factors = Tensor::from_vec(factors, (x.at.len(), 1), x.x.device())?;
    Ok(x.with(x.x.broadcast_mul(&factors.to_dtype(x.x.dtype())?)?))
}

/// Piece `i` of every group, side by side.
pub(super) fn split(x: &Rows, groups: usize, widths: &[usize]) -> Result<Vec<Rows>> {
    let count = x.x.dim(0)?;
    let grouped = match groups {
        1 => x.x.clone(),
        _ => x.x.reshape((count, groups, ()))?,
    };
    let mut start = 0;
    let mut pieces = Vec::with_capacity(widths.len());
    for &width in widths {
        let piece = grouped.narrow(candle_core::D::Minus1, start, width)?;
        pieces.push(x.with(piece.reshape((count, groups * width))?));
        start += width;
    }
    Ok(pieces)
}

/// Columns side by side.
pub(super) fn concat(inputs: &[&Rows]) -> Result<Rows> {
    let columns: Vec<&Tensor> = inputs.iter().map(|rows| &rows.x).collect();
    Ok(inputs[0].with(Tensor::cat(&columns, 1)?))
}

/// One row of each sequence's.
pub(super) fn pool(pool: Pool, x: &Rows) -> Result<Rows> {
    let mut parts = Vec::new();
    for range in x.at.ranges() {
        let last = range.len() - 1;
        let rows = x.part(range)?;
        parts.push(match pool {
            Pool::Mean => rows.mean_keepdim(0)?,
            Pool::Class => rows.narrow(0, 0, 1)?,
            Pool::Last => rows.narrow(0, last, 1)?,
            // Candle's maximum gives its gradient to each of several equal rows: this picks one.
            Pool::Max => rows.contiguous()?.gather(&rows.argmax_keepdim(0)?, 0)?,
        });
    }
    let at = Places::new(x.at.spans().iter().map(|_| (0, 1)));
    Ok(Rows { x: below(&parts)?, at: Arc::new(at) })
}
