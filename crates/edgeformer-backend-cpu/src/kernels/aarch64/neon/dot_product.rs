//! Products of bytes with bytes, added up.

use std::arch::aarch64::*;

use super::packed::Long;
use crate::kernels::q8::BLOCK;
use crate::kernels::scalar::quantized::Products;

/// Multiplies codes of weights or keys with codes of activations or queries.
pub(in crate::kernels::aarch64) trait DotProduct {
    /// Adds the products of `a` with `b`, whose bytes are within -127..=127, to four sums. Which
    /// product goes to which is not said; all four together are an integer and exact: all
    /// implementations give the same.
    ///
    /// # Safety
    /// The machine has the instructions.
    unsafe fn add(sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t;
}

impl DotProduct for Long {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn add(sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
        // Two products of a byte with at most 127 fit in 16 bits.
        let products = vmull_s8(vget_low_s8(a), vget_low_s8(b));
        vpadalq_s16(sums, vmlal_high_s8(products, a, b))
    }
}

impl<P: DotProduct> Products for P {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn of_halves(weights: &[i8; BLOCK], x: &[i8; BLOCK]) -> [i32; 2] {
        // SAFETY: sixteen codes are readable from either; the instructions are there, the caller
        // says.
        let [low, high] = [0, 16].map(|half| unsafe {
            let (weights, x) = (weights.as_ptr().add(half), x.as_ptr().add(half));
            P::add(vdupq_n_s32(0), vld1q_s8(weights), vld1q_s8(x))
        });
        let pairs = vpaddq_s32(low, high);
        let sums = vpadd_s32(vget_low_s32(pairs), vget_high_s32(pairs));
        [vget_lane_s32::<0>(sums), vget_lane_s32::<1>(sums)]
    }
}
