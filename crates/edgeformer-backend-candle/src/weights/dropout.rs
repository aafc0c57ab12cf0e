use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::vectors::wide;

/// Inputs of a product that are left out at random while a model learns, the others enlarged so
/// that the mean stays (Srivastava et al.: "Dropout", 2014). LoRA has it before its first matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Share of the inputs that is left out: from 0 to below 1.
    pub rate: f32,
    /// What is left out follows from it alone.
    pub seed: u64,
}

/// Elements that one task takes: an even number.
const CHUNK: usize = 1 << 13;

impl Dropout {
    /// `x` with some elements zero. What is left out is found again backward: it is not kept.
    pub(super) fn apply(self, x: &Tensor) -> Result<Tensor> {
        if x.device().is_cpu() && x.dtype() == candle_core::DType::F32 {
            return x.contiguous()?.apply_op1(self);
        }
        let factors = self.scaled(&vec![1.0; x.elem_count()]);
        let factors = Tensor::from_vec(factors, x.shape(), x.device())?;
        x.mul(&factors.to_dtype(x.dtype())?)
    }

    fn scaled(self, values: &[f32]) -> Vec<f32> {
        let mut made = vec![0.0f32; values.len()];
        let chunks = made.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).enumerate();
        chunks.for_each(|(index, (made, values))| {
            wide(Self::chunk, (self, index * CHUNK, made, values));
        });
        made
    }

    /// Some elements, from an even one on. Two of them share a random number.
    #[inline(always)]
    fn chunk((dropout, first, made, values): (Self, usize, &mut [f32], &[f32])) {
        let kept = 1.0 / (1.0 - dropout.rate);
        let limit = (f64::from(dropout.rate) * f64::from(u32::MAX)) as u32;
        for (pair, (made, values)) in made.chunks_mut(2).zip(values.chunks(2)).enumerate() {
            let drawn = mixed(dropout.seed, first / 2 + pair);
            for ((made, value), drawn) in
                made.iter_mut().zip(values).zip([drawn as u32, (drawn >> 32) as u32])
            {
                *made = if drawn < limit { 0.0 } else { kept * value };
            }
        }
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((from, to)) = layout.contiguous_offsets() else {
            bail!("inputs must be contiguous to be left out");
        };
        let made = self.scaled(&x.as_slice::<f32>()?[from..to]);
        Ok((CpuStorage::F32(made), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        gradient.contiguous()?.apply_op1_no_bwd(self).map(Some)
    }
}

/// The number of SplitMix64 at a place (Steele, Lea, Flood 2014): every place by itself.
#[inline(always)]
fn mixed(seed: u64, index: usize) -> u64 {
    let state = seed.wrapping_add((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap()
    }

    #[test]
    fn the_share_is_left_out_and_the_mean_stays() {
        let ones = Tensor::ones((200, 101), DType::F32, &Device::Cpu).unwrap();
        let dropped = |seed| Dropout { rate: 0.25, seed }.apply(&ones).unwrap();
        let first = values(&dropped(1));
        let zeros = first.iter().filter(|&&value| value == 0.0).count();
        assert!((4700..5400).contains(&zeros), "{zeros}");
        assert!(first.iter().all(|&value| value == 0.0 || value == 4.0 / 3.0));
        assert_eq!(first, values(&dropped(1)));
        assert!(first != values(&dropped(2)));
    }

    #[test]
    fn gradients_are_left_out_where_inputs_are() {
        let x = Tensor::randn(0f32, 1.0, (30, 333), &Device::Cpu).unwrap();
        let x = Var::from_tensor(&x).unwrap();
        let dropout = Dropout { rate: 0.5, seed: 7 };
        let y = dropout.apply(&x).unwrap();
        let gradient = y.sum_all().unwrap().backward().unwrap().remove(&x).unwrap();
        let factors = values(&dropout.apply(&x.ones_like().unwrap()).unwrap());
        assert_eq!(values(&gradient), factors);
        assert_eq!(values(&y), values(&(x.as_tensor() * gradient).unwrap()));
    }

    #[test]
    fn every_type_is_left_out_in_the_same_places() {
        let ones = Tensor::ones((20, 33), DType::F32, &Device::Cpu).unwrap();
        let dropout = Dropout { rate: 0.5, seed: 7 };
        let wide = dropout.apply(&ones.to_dtype(DType::F64).unwrap()).unwrap();
        assert_eq!(values(&wide), values(&dropout.apply(&ones).unwrap()));
    }
}
