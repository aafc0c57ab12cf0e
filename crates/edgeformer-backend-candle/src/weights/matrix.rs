use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{DType, Tensor};

use super::few_rows::FewRows;
use super::quantized::Quantized;
use super::widen::widen;
use crate::error::Result;

/// Elements of a matrix of half floats that are widened at a time: 64 MiB of f32.
pub(crate) const WIDENED: usize = 1 << 24;

/// Rows up to which half floats are widened row by row rather than as a matrix.
const FEW: usize = 8;

/// A matrix `[out, in]` on a device.
#[derive(Debug, Clone)]
pub(crate) enum Matrix {
    /// Floats, as wide as activations or half.
    Float(Tensor),
    /// Blocks in one of candle's formats.
    Quantized(Arc<QTensor>),
}

impl Matrix {
    /// `x Wᵀ` of rows `[n, in]`.
    pub fn product(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Quantized(matrix) => {
                let x = x.contiguous()?;
                Ok(x.apply_op1(Quantized(matrix.clone()))?)
            }
            Self::Float(matrix) if matrix.dtype() == x.dtype() => {
                Ok(x.contiguous()?.matmul(&matrix.t()?)?)
            }
            Self::Float(matrix) => half_product(x, matrix),
        }
    }
}

/// The product with a matrix of half floats. Only a part of it is ever widened.
fn half_product(x: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    let few = x.dim(0)? <= FEW && x.dtype() == DType::F32;
    if few && x.device().is_cpu() {
        return Ok(x.apply_op2(&matrix.contiguous()?, FewRows)?);
    }
    let (rows, cols) = matrix.dims2()?;
    let step = (WIDENED / cols).clamp(1, rows);
    let mut products = Vec::with_capacity(rows.div_ceil(step));
    for start in (0..rows).step_by(step) {
        let part = matrix.narrow(0, start, step.min(rows - start))?;
        products.push(x.matmul(&widen(&part, x.dtype())?.t()?)?);
    }
    Ok(match products.as_slice() {
        [one] => one.clone(),
        several => Tensor::cat(several, 1)?,
    })
}
