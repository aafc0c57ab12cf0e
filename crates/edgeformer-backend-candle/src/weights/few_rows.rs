use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use super::widen::widen;
use crate::vectors::dot;

/// `x Wᵀ` of few f32 rows and a matrix of half floats, which is read once and never widened as a
/// whole: decoding is bound by how fast weights come from memory.
pub(super) struct FewRows;

/// Rows of the matrix that a thread takes at a time.
const SHARE: usize = 32;

impl CustomOp2 for FewRows {
    fn name(&self) -> &'static str {
        "few-rows-product"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        matrix: &CpuStorage,
        matrix_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, cols) = x_layout.shape().dims2()?;
        let (out, _) = matrix_layout.shape().dims2()?;
        let (Some((from, to)), Some((start, end))) =
            (x_layout.contiguous_offsets(), matrix_layout.contiguous_offsets())
        else {
            bail!("rows and matrix must be contiguous");
        };
        let x = &x.as_slice::<f32>()?[from..to];
        let sums = match matrix {
            CpuStorage::F16(values) => {
                products(x, &values[start..end], cols, |from: &[f16], to| {
                    from.convert_to_f32_slice(to);
                })
            }
            CpuStorage::BF16(values) => {
                products(x, &values[start..end], cols, |from: &[bf16], to| {
                    from.convert_to_f32_slice(to);
                })
            }
            _ => bail!("the matrix has no half floats"),
        };
        Ok((CpuStorage::F32(transposed(sums, out, rows)), Shape::from((rows, out))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        matrix: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let of_x = grad.matmul(&widen(matrix, x.dtype())?)?;
        let of_matrix = grad.t()?.matmul(x)?.to_dtype(matrix.dtype())?;
        Ok((Some(of_x), Some(of_matrix)))
    }
}

/// For every row of the matrix its products with the rows of `x`: `[out, rows]`.
fn products<T: Sync>(
    x: &[f32],
    matrix: &[T],
    cols: usize,
    convert: impl Fn(&[T], &mut [f32]) + Sync,
) -> Vec<f32> {
    let rows = x.len() / cols;
    let mut sums = vec![0.0; matrix.len() / cols * rows];
    let shares = sums.par_chunks_mut(SHARE * rows).zip(matrix.par_chunks(SHARE * cols));
    shares.for_each(|(sums, matrix)| {
        let mut wide = vec![0.0; cols];
        for (sums, row) in sums.chunks_exact_mut(rows).zip(matrix.chunks_exact(cols)) {
            convert(row, &mut wide);
            for (sum, x) in sums.iter_mut().zip(x.chunks_exact(cols)) {
                *sum = dot(&wide, x);
            }
        }
    });
    sums
}

/// `[rows, out]` from `[out, rows]`.
fn transposed(values: Vec<f32>, out: usize, rows: usize) -> Vec<f32> {
    if rows == 1 {
        return values;
    }
    let row = |row: usize| (0..out).map(move |column| column * rows + row);
    (0..rows).flat_map(row).map(|index| values[index]).collect()
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn products_and_gradients_are_those_of_the_widened_matrix() {
        let x = Tensor::randn(0f32, 1.0, (3, 37), &Device::Cpu).unwrap();
        let x = candle_core::Var::from_tensor(&x).unwrap();
        for dtype in [DType::F16, DType::BF16] {
            let matrix = Tensor::randn(0f32, 1.0, (71, 37), &Device::Cpu).unwrap();
            let matrix = matrix.to_dtype(dtype).unwrap();
            let found = x.apply_op2(&matrix, FewRows).unwrap();
            let wide = matrix.to_dtype(DType::F32).unwrap();
            let expected = x.matmul(&wide.t().unwrap()).unwrap();
            assert!(distance(&found, &expected) < 1e-4);
            let gradient = |y: &Tensor| {
                y.sqr().unwrap().sum_all().unwrap().backward().unwrap().remove(&x).unwrap()
            };
            assert!(distance(&gradient(&found), &gradient(&expected)) < 1e-2);
        }
    }

    fn distance(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
    }
}
