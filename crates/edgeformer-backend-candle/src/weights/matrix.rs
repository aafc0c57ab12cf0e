use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{DType, Tensor};

use super::aside::MatrixGradients;
use super::few_rows::FewRows;
use super::product::{MatrixGradient, Product, TiledProduct};
use super::quantized::Quantized;
use super::widen::widen;
use crate::error::Result;

/// Elements of a matrix of half floats that are widened at a time: 64 MiB of f32.
pub(crate) const WIDENED: usize = 1 << 24;

/// Rows up to which half floats are widened row by row rather than as a matrix.
const FEW: usize = 8;

/// Rows from which on the processor multiplies floats faster than candle's blocks, the time that it
/// takes to dequantize them counted: its kernels read a block anew for every row.
const MANY: usize = 32;

/// A matrix `[out, in]` on a device.
#[derive(Debug, Clone)]
pub(crate) enum Matrix {
    /// Floats, as wide as activations or half.
    Float(Tensor),
    /// Floats as wide as activations that have a gradient.
    Learning(Learning),
    /// Blocks in one of candle's formats.
    Quantized(Arc<QTensor>),
}

/// A matrix that has a gradient.
#[derive(Debug, Clone)]
pub(crate) struct Learning {
    /// Its values.
    pub values: Tensor,
    /// What products on the processor see of them, where that is something else.
    pub seen: Option<Tensor>,
    /// Where products on the processor put gradients; else candle has them.
    pub aside: Option<MatrixGradients>,
}

impl Matrix {
    /// A matrix of floats that has a gradient, or none.
    pub fn of(values: Tensor, learns: bool) -> Self {
        match learns {
            true => Self::Learning(Learning { values, seen: None, aside: None }),
            false => Self::Float(values),
        }
    }

    /// `x Wᵀ` of rows `[n, in]`.
    pub fn product(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Quantized(matrix) => {
                let x = x.contiguous()?;
                if x.device().is_cpu() && x.dim(0)? >= MANY {
                    return Ok(x.apply_op1(TiledProduct(matrix.clone()))?);
                }
                Ok(x.apply_op1(Quantized(matrix.clone()))?)
            }
            Self::Float(matrix) if matrix.dtype() != x.dtype() => half_product(x, matrix),
            Self::Float(matrix) => wide_product(x, matrix, None, MatrixGradient::None),
            Self::Learning(Learning { values, seen, aside }) => {
                let gradient = aside.clone().map_or(MatrixGradient::Given, MatrixGradient::Aside);
                wide_product(x, values, seen.clone(), gradient)
            }
        }
    }
}

/// The product with a matrix of floats as wide as the rows'.
fn wide_product(
    x: &Tensor,
    matrix: &Tensor,
    seen: Option<Tensor>,
    gradient: MatrixGradient,
) -> Result<Tensor> {
    let x = x.contiguous()?;
    match x.device().is_cpu() {
        true => Ok(x.apply_op2(matrix, Product { seen, gradient })?),
        false => Ok(x.matmul(&matrix.t()?)?),
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

#[cfg(test)]
mod tests {
    use candle_core::quantized::GgmlDType;
    use candle_core::{Device, Var};

    use super::*;

    /// The way that many rows go and the way of few are the same product and gradient, but for
    /// activations in 8 bits.
    #[test]
    fn many_rows_are_multiplied_as_few_are() {
        let random = |shape: (usize, usize)| Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap();
        let matrix = QTensor::quantize(&random((96, 256)), GgmlDType::Q4_0).unwrap();
        let matrix = Matrix::Quantized(Arc::new(matrix));
        let x = Var::from_tensor(&random((MANY + 5, 256))).unwrap();
        let many = matrix.product(&x).unwrap();
        let halves = [x.narrow(0, 0, MANY - 1).unwrap(), x.narrow(0, MANY - 1, 6).unwrap()];
        let halves = halves.map(|half| matrix.product(&half).unwrap());
        let few = Tensor::cat(&halves, 0).unwrap();
        assert!(distance(&many, &few) < 1e-2);
        let gradient = |y: &Tensor| y.sum_all().unwrap().backward().unwrap().remove(&x).unwrap();
        assert!(distance(&gradient(&many), &gradient(&few)) < 1e-5);
    }

    fn distance(a: &Tensor, b: &Tensor) -> f32 {
        let norm = |x: &Tensor| x.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        (norm(&(a - b).unwrap()) / norm(b)).sqrt()
    }
}
