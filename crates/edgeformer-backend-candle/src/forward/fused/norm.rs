use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::ROWS;
use super::slice::{floats, with_floats};
use crate::vectors::{dot, wide};

/// `x / sqrt(mean(x²) + eps) * (weight + offset)` of every row; the weight is `[width]`.
pub(in crate::forward) struct RmsNorm {
    pub eps: f32,
    pub offset: f32,
}

/// What the gradient of some rows follows from, and room for it.
struct Backward<'a> {
    norm: &'a RmsNorm,
    x: &'a [f32],
    weight: &'a [f32],
    /// That of what was made of the rows.
    gradient: &'a [f32],
    made: &'a mut [f32],
}

impl RmsNorm {
    #[inline(always)]
    fn inverse(&self, row: &[f32]) -> f32 {
        1.0 / (dot(row, row) / row.len() as f32 + self.eps).sqrt()
    }

    /// Some rows.
    #[inline(always)]
    fn rows((norm, x, weight, y): (&Self, &[f32], &[f32], &mut [f32])) {
        for (y, x) in y.chunks_exact_mut(weight.len()).zip(x.chunks_exact(weight.len())) {
            let inverse = norm.inverse(x);
            for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
                *y = x * inverse * (weight + norm.offset);
            }
        }
    }

    /// The gradient of some rows, and what they add to the weight's.
    #[inline(always)]
    fn back(Backward { norm, x, weight, gradient, made }: Backward<'_>) -> Vec<f32> {
        let width = weight.len();
        let mut of_weight = vec![0.0f32; width];
        let rows = x.chunks_exact(width).zip(gradient.chunks_exact(width));
        for ((x, gradient), made) in rows.zip(made.chunks_exact_mut(width)) {
            let inverse = norm.inverse(x);
            let each = made.iter_mut().zip(&mut of_weight).zip(weight).zip(gradient.iter().zip(x));
            for (((made, of_weight), weight), (gradient, x)) in each {
                *of_weight += gradient * (x * inverse);
                *made = gradient * (weight + norm.offset);
            }
            let along = dot(made, x) * inverse / width as f32;
            for (made, x) in made.iter_mut().zip(x) {
                *made = inverse * (*made - x * inverse * along);
            }
        }
        of_weight
    }
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_at: &Layout,
        weight: &CpuStorage,
        weight_at: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (floats(x, x_at)?, floats(weight, weight_at)?);
        let chunk = ROWS * weight.len();
        let mut y = vec![0.0f32; x.len()];
        y.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).for_each(|(y, x)| {
            wide(Self::rows, (self, x, weight, y));
        });
        Ok((CpuStorage::F32(y), x_at.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (made, of_weight) = with_floats(x, |x| {
            with_floats(weight, |weight| {
                with_floats(&gradient, |gradient| Ok(self.all_back(x, weight, gradient)))
            })
        })?;
        let made = Tensor::from_vec(made, x.shape(), x.device())?;
        let of_weight = Tensor::from_vec(of_weight, weight.shape(), weight.device())?;
        Ok((Some(made), Some(of_weight)))
    }
}

impl RmsNorm {
    /// Both gradients. Tasks take the same rows whatever threads there are, and their sums are added
    /// in their order.
    fn all_back(&self, x: &[f32], weight: &[f32], gradient: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let chunk = ROWS * weight.len();
        let mut made = vec![0.0f32; x.len()];
        let given = x.par_chunks(chunk).zip(gradient.par_chunks(chunk));
        let parts: Vec<Vec<f32>> = made
            .par_chunks_mut(chunk)
            .zip(given)
            .map(|(made, (x, gradient))| {
                wide(Self::back, Backward { norm: self, x, weight, gradient, made })
            })
            .collect();
        let mut of_weight = vec![0.0f32; weight.len()];
        for part in parts {
            of_weight.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        (made, of_weight)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Device, Var};

    use super::*;

    #[test]
    fn it_is_its_composition_and_so_are_its_gradients() {
        let random = |shape: &[usize]| Tensor::randn(0.5f32, 1.0, shape, &Device::Cpu).unwrap();
        for (offset, shape) in [(0.0, vec![70, 24]), (1.0, vec![5, 3, 8])] {
            let x = Var::from_tensor(&random(&shape)).unwrap();
            let weight = Var::from_tensor(&random(&shape[shape.len() - 1..])).unwrap();
            let ours = x.apply_op2(&weight, RmsNorm { eps: 1e-5, offset }).unwrap();
            let mean = x.sqr().unwrap().mean_keepdim(D::Minus1).unwrap();
            let root = mean.affine(1.0, 1e-5).unwrap().sqrt().unwrap();
            let scale = weight.affine(1.0, f64::from(offset)).unwrap();
            let plain = x.broadcast_div(&root).unwrap().broadcast_mul(&scale).unwrap();
            crate::forward::tests::assert_same(&ours, &plain, &[&x, &weight], 1e-5);
        }
    }
}
