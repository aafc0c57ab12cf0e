use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::slice::{floats, with_floats};
use crate::vectors::{exp, wide};

/// Elements that one task takes.
const CHUNK: usize = 1 << 13;

/// `x * sigmoid(x)`.
pub(in crate::forward) struct Silu;

impl CustomOp1 for Silu {
    fn name(&self) -> &'static str {
        "silu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = floats(storage, layout)?;
        let mut y = vec![0.0f32; x.len()];
        y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
            wide(silu, (y, x));
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let made = with_floats(x, |x| {
            with_floats(&gradient, |gradient| {
                let mut made = vec![0.0f32; x.len()];
                let given = x.par_chunks(CHUNK).zip(gradient.par_chunks(CHUNK));
                made.par_chunks_mut(CHUNK).zip(given).for_each(|(made, (x, gradient))| {
                    wide(slope, (made, x, gradient));
                });
                Ok(made)
            })
        })?;
        Tensor::from_vec(made, x.shape(), x.device()).map(Some)
    }
}

#[inline(always)]
fn silu((y, x): (&mut [f32], &[f32])) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y = x * sigmoid(*x));
}

/// The gradient where the input was `x`.
#[inline(always)]
fn slope((made, x, gradient): (&mut [f32], &[f32], &[f32])) {
    for ((made, x), gradient) in made.iter_mut().zip(x).zip(gradient) {
        let s = sigmoid(*x);
        *made = gradient * s * (1.0 + x * (1.0 - s));
    }
}

/// Neither end of it overflows: `exp` of much is infinite, and one over that is zero.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn it_is_candles_and_so_is_its_gradient() {
        let x = Tensor::randn(0f32, 4.0, (7, 1300), &Device::Cpu).unwrap();
        let x = Var::from_tensor(&x).unwrap();
        let ours = x.apply_op1(Silu).unwrap();
        crate::forward::tests::assert_same(&ours, &x.silu().unwrap(), &[&x], 1e-5);
    }

    #[test]
    fn far_out_it_is_finite() {
        let x = Var::new(&[-1e4f32, 1e4, -90.0, 0.0], &Device::Cpu).unwrap();
        let y = x.apply_op1(Silu).unwrap();
        let gradient = y.sum_all().unwrap().backward().unwrap().remove(&x).unwrap();
        for values in [y.to_vec1::<f32>().unwrap(), gradient.to_vec1::<f32>().unwrap()] {
            assert!(values.iter().all(|value| value.is_finite()), "{values:?}");
        }
    }
}
