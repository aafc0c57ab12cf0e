use std::ops::Range;
use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

use super::aside::MatrixGradients;
use super::format;
use crate::gemm::Times;

/// `x Wᵀ` on the processor. Candle's own has gradients for both sides whether they are wanted or not,
/// and the matrix's is turned over afterwards: a frozen matrix would cost as much as one that learns.
pub(super) struct Product {
    /// What is multiplied with in the place of the matrix, which has the gradient nevertheless: the
    /// straight-through estimator (see [`Rounding`](super::rounding::Rounding)).
    pub seen: Option<Tensor>,
    /// What becomes of the matrix's gradient.
    pub gradient: MatrixGradient,
}

/// What becomes of the gradient of a matrix.
#[derive(Debug, Clone)]
pub(super) enum MatrixGradient {
    /// There is none: the matrix is frozen.
    None,
    /// Candle has it.
    Given,
    /// It is put aside.
    Aside(MatrixGradients),
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "linear-product"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_at: &Layout,
        matrix: &CpuStorage,
        matrix_at: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Some(seen) = &self.seen else {
            return Times::storages(x, x_at, matrix, &matrix_at.transpose(0, 1)?);
        };
        let (seen, seen_at) = seen.storage_and_layout();
        let Storage::Cpu(seen) = &*seen else { bail!("a product is on the processor") };
        Times::storages(x, x_at, seen, &seen_at.transpose(0, 1)?)
    }

    fn bwd(
        &self,
        x: &Tensor,
        matrix: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        // Detached: else each would keep what it was made of until all gradients are found.
        let find = || gradient.t()?.apply_op2_no_bwd(&x.detach(), &Times);
        let of_matrix = match &self.gradient {
            MatrixGradient::None => None,
            MatrixGradient::Given => Some(find()?),
            MatrixGradient::Aside(aside) => {
                aside.add(matrix, find()?)?;
                None
            }
        };
        let seen = self.seen.clone().unwrap_or_else(|| matrix.detach());
        Ok((Some(gradient.apply_op2_no_bwd(&seen, &Times)?), of_matrix))
    }
}

/// `x Wᵀ` on the processor, of many rows and a frozen matrix in blocks: rows of the matrix are
/// dequantized some after the others, forward and backward, and it is never there as a whole.
pub(super) struct TiledProduct(pub Arc<QTensor>);

/// Elements of a matrix that are dequantized at a time: 4 MiB of f32.
pub(crate) const DEQUANTIZED: usize = 1 << 20;

/// Rows of a matrix in floats, and which they are.
struct Tile {
    rows: Range<usize>,
    values: Vec<f32>,
}

impl TiledProduct {
    fn tiles(&self) -> Result<impl Iterator<Item = Result<Tile>> + '_> {
        let (out, cols) = self.0.shape().dims2()?;
        let format = format::core(self.0.dtype())?;
        let bytes = self.0.data()?;
        let step = (DEQUANTIZED / cols.max(1)).clamp(1, out.max(1));
        let row_bytes = cols / format.block_len() * format.block_bytes();
        Ok((0..out).step_by(step).map(move |start| {
            let rows = start..(start + step).min(out);
            let mut values = vec![0.0; rows.len() * cols];
            let stored = &bytes[rows.start * row_bytes..rows.end * row_bytes];
            let each = values.par_chunks_exact_mut(cols).zip(stored.par_chunks_exact(row_bytes));
            each.try_for_each(|(values, stored)| format.dequantize(stored, values))
                .map_err(candle_core::Error::wrap)?;
            Ok(Tile { rows, values })
        }))
    }
}

impl CustomOp1 for TiledProduct {
    fn name(&self) -> &'static str {
        "tiled-product"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_at: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, cols) = x_at.shape().dims2()?;
        let (out, _) = self.0.shape().dims2()?;
        let mut made = vec![0.0f32; rows * out];
        for tile in self.tiles()? {
            let Tile { rows: part, values } = tile?;
            let turned = Layout::contiguous((part.len(), cols)).transpose(0, 1)?;
            let tile = CpuStorage::F32(values);
            let (CpuStorage::F32(product), _) = Times::storages(x, x_at, &tile, &turned)? else {
                bail!("rows are of f32");
            };
            let rows = made.par_chunks_exact_mut(out).zip(product.par_chunks_exact(part.len()));
            rows.for_each(|(made, product)| made[part.clone()].copy_from_slice(product));
        }
        Ok((CpuStorage::F32(made), Shape::from((rows, out))))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (_, cols) = self.0.shape().dims2()?;
        let mut sum: Option<Tensor> = None;
        for tile in self.tiles()? {
            let Tile { rows, values } = tile?;
            let tile = Tensor::from_vec(values, (rows.len(), cols), x.device())?;
            let part = gradient.narrow(1, rows.start, rows.len())?;
            let part = part.apply_op2_no_bwd(&tile, &Times)?;
            sum = Some(match sum {
                Some(sum) => (sum + part)?,
                None => part,
            });
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::GgmlDType;
    use candle_core::{Device, Var};

    use super::*;

    fn random(shape: (usize, usize)) -> Var {
        Var::from_tensor(&Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap()).unwrap()
    }

    fn distance(a: &Tensor, b: &Tensor) -> f32 {
        let norm = |x: &Tensor| x.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        (norm(&(a - b).unwrap()) / norm(b)).sqrt()
    }

    fn product(gradient: MatrixGradient) -> Product {
        Product { seen: None, gradient }
    }

    #[test]
    fn a_gradient_that_is_put_aside_is_the_same_and_added_up() {
        let (x, matrix) = (random((9, 70)), random((33, 70)));
        let aside = MatrixGradients::default();
        let gradients = |gradient: MatrixGradient| {
            let y = x.apply_op2(&matrix, product(gradient)).unwrap();
            y.sqr().unwrap().sum_all().unwrap().backward().unwrap()
        };
        let given = gradients(MatrixGradient::Given);
        let put = gradients(MatrixGradient::Aside(aside.clone()));
        assert!(put.get(&matrix).is_none());
        assert_eq!(distance(put.get(&x).unwrap(), given.get(&x).unwrap()), 0.0);
        let given = given.get(&matrix).unwrap();
        assert_eq!(distance(&aside.take(&matrix).unwrap(), given), 0.0);
        assert!(aside.take(&matrix).is_none());
        for _ in 0..2 {
            gradients(MatrixGradient::Aside(aside.clone()));
        }
        assert_eq!(distance(&aside.take(&matrix).unwrap(), &(given * 2.0).unwrap()), 0.0);
    }

    #[test]
    fn what_is_seen_is_multiplied_and_the_matrix_learns() {
        let (x, matrix, seen) = (random((9, 70)), random((33, 70)), random((33, 70)));
        let op = Product { seen: Some(seen.detach()), gradient: MatrixGradient::Given };
        let ours = x.apply_op2(&matrix, op).unwrap();
        let theirs = x.apply_op2(&seen, product(MatrixGradient::Given)).unwrap();
        assert_eq!(distance(&ours, &theirs), 0.0);
        let gradients = |y: &Tensor| y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let (ours, theirs) = (gradients(&ours), gradients(&theirs));
        assert_eq!(distance(ours.get(&x).unwrap(), theirs.get(&x).unwrap()), 0.0);
        assert_eq!(distance(ours.get(&matrix).unwrap(), theirs.get(&seen).unwrap()), 0.0);
        assert!(ours.get(&seen).is_none());
    }

    #[test]
    fn it_is_candles_product_and_so_are_its_gradients() {
        let (x, matrix) = (random((9, 70)), random((33, 70)));
        let ours = x.apply_op2(&matrix, product(MatrixGradient::Given)).unwrap();
        let theirs = x.matmul(&matrix.t().unwrap()).unwrap();
        assert!(distance(&ours, &theirs) < 1e-6);
        let gradients = |y: &Tensor| y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let (ours, theirs) = (gradients(&ours), gradients(&theirs));
        for side in [&x, &matrix] {
            assert!(distance(ours.get(side).unwrap(), theirs.get(side).unwrap()) < 1e-5);
        }
    }

    #[test]
    fn a_frozen_matrix_has_no_gradient() {
        let (x, frozen) = (random((9, 70)), random((33, 70)).detach());
        let y = x.apply_op2(&frozen, product(MatrixGradient::None)).unwrap();
        let gradients = y.sum_all().unwrap().backward().unwrap();
        assert!(gradients.get(&x).is_some() && gradients.get(&frozen).is_none());
    }

    #[test]
    fn tiles_are_the_whole_matrix() {
        // Three tiles, the last of them shorter.
        let (out, cols) = (2500, 1024);
        let x = random((5, cols));
        let matrix = QTensor::quantize(&random((out, cols)), GgmlDType::Q8_0).unwrap();
        let whole = matrix.dequantize(&Device::Cpu).unwrap();
        let ours = x.apply_op1(TiledProduct(Arc::new(matrix))).unwrap();
        let theirs = x.matmul(&whole.t().unwrap()).unwrap();
        assert!(distance(&ours, &theirs) < 1e-5);
        let gradient = |y: &Tensor| y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let (ours, theirs) = (gradient(&ours), gradient(&theirs));
        assert!(distance(ours.get(&x).unwrap(), theirs.get(&x).unwrap()) < 1e-5);
    }
}
