//! Rounding: from a matrix of floats to the bytes of a format, with as little harm as possible.
//!
//! | method | needs | keeps small |
//! |---|---|---|
//! | [`Rtn`](Method::Rtn) | nothing | the squared error, over few ways to cut the range |
//! | [`KQuant`](Method::KQuant) | importance, if there is any | the weighted squared error |
//! | [`Hqq`](Method::Hqq) | nothing | the sum of `error^0.7`: outliers count less |
//! | [`Gptq`](Method::Gptq) | a [`Hessian`] | the squared error of the products with the inputs |
//!
//! All of them end in the same place: codes, scales and minima that the format can store, put
//! into bytes by [`Block::assemble`](edgeformer_core::quant::Block::assemble).

mod coder;
mod fit;
mod gptq;
mod grid;
mod hqq;
mod kquant;
mod method;
mod represent;
mod rows;
mod rtn;
mod search;
pub(crate) mod share;
mod task;
#[cfg(test)]
mod tests;
mod wide;

use edgeformer_core::Format;

pub use method::{Gptq, InputStats, Method, Objective, Order};

use crate::linalg::Hessian;
use crate::{Error, Result};
use grid::Grid;

/// Rounds a matrix, rows of `cols` weights each, to the bytes of a format.
///
/// The result does not depend on the number of threads. Float formats are rounded to nearest
/// whatever the method. Without importance the diagonal of the Hessian is taken, if there is one.
///
/// # Errors
/// If rows are not whole, or not whole blocks of the format; if the statistics are of another
/// number of columns; if GPTQ has no Hessian, or one that no damping makes positive.
pub fn round_matrix(
    weights: &[f32],
    cols: usize,
    format: Format,
    method: &Method,
    stats: &InputStats<'_>,
    threads: usize,
) -> Result<Vec<u8>> {
    check(weights, cols, format, stats)?;
    let row_bytes = cols / format.block_len() * format.block_bytes();
    let mut bytes = vec![0; weights.len() / cols * row_bytes];
    let Some(grid) = Grid::of(format) else {
        format.quantize(weights, &mut bytes)?;
        return Ok(bytes);
    };
    let diagonal = stats.hessian.filter(|_| stats.importance.is_none()).map(Hessian::diagonal);
    let importance = stats.importance.or(diagonal.as_deref());
    let rows = match method {
        Method::Gptq(_) => gptq::ROWS,
        _ => share::rows_each(cols),
    };
    let curvature = match method {
        Method::Gptq(settings) => Some(gptq::Curvature::new(stats.hessian, &grid, settings)?),
        _ => None,
    };
    share::share(&mut bytes, rows * row_bytes, threads, |index, bytes| {
        let first = index * rows * cols;
        let weights = &weights[first..first + bytes.len() / row_bytes * cols];
        rows::round(weights, cols, (format, &grid), method, importance, bytes)?;
        if let Some(curvature) = &curvature {
            gptq::round(weights, &grid, curvature, bytes);
        }
        Ok(())
    })?;
    Ok(bytes)
}

fn check(weights: &[f32], cols: usize, format: Format, stats: &InputStats<'_>) -> Result<()> {
    if cols == 0 || weights.is_empty() || !weights.len().is_multiple_of(cols) {
        let problem = format!("{} weights are not whole rows of {cols}", weights.len());
        return Err(Error::Request(problem));
    }
    format.tensor_bytes(&[weights.len() / cols, cols])?;
    let sizes = [stats.importance.map(<[f32]>::len), stats.hessian.map(Hessian::size)];
    match sizes.into_iter().flatten().find(|&size| size != cols) {
        Some(size) => Err(Error::Request(format!(
            "statistics of {size} inputs do not fit rows of {cols} weights: calibrate with this model"
        ))),
        None => Ok(()),
    }
}
