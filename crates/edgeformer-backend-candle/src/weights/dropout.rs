use candle_core::{Result, Tensor};
use rayon::prelude::*;

/// Inputs of a product that are left out at random while a model learns, the others enlarged so
/// that the mean stays (Srivastava et al.: "Dropout", 2014). LoRA has it before its first matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Share of the inputs that is left out: from 0 to below 1.
    pub rate: f32,
    /// What is left out follows from it alone.
    pub seed: u64,
}

impl Dropout {
    /// `x` with some elements zero.
    pub(super) fn apply(self, x: &Tensor) -> Result<Tensor> {
        let kept = 1.0 / (1.0 - self.rate);
        // A number of 24 bits for every element.
        let limit = (self.rate * (1 << 24) as f32) as u64;
        let factor = |index: usize| if mixed(self.seed, index) >> 40 < limit { 0.0 } else { kept };
        let factors: Vec<f32> = (0..x.elem_count()).into_par_iter().map(factor).collect();
        let factors = Tensor::from_vec(factors, x.shape(), x.device())?;
        x.mul(&factors.to_dtype(x.dtype())?)
    }
}

/// The number of SplitMix64 at a place (Steele, Lea, Flood 2014): every place by itself.
fn mixed(seed: u64, index: usize) -> u64 {
    let state = seed.wrapping_add((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn the_share_is_left_out_and_the_mean_stays() {
        let ones = Tensor::ones((200, 100), DType::F32, &Device::Cpu).unwrap();
        let dropped = |seed| Dropout { rate: 0.25, seed }.apply(&ones).unwrap();
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let first = values(&dropped(1));
        let zeros = first.iter().filter(|&&value| value == 0.0).count();
        assert!((4700..5300).contains(&zeros), "{zeros}");
        assert!(first.iter().all(|&value| value == 0.0 || value == 4.0 / 3.0));
        assert_eq!(first, values(&dropped(1)));
        assert!(first != values(&dropped(2)));
    }
}
