//! Activations to 8 bits, and their products with codes of weights as the file holds them.

use std::arch::aarch64::*;

use super::packed::Long;
use super::vector::{load, load_eight};
use crate::kernels::q8::{BLOCK, Q8RowMut};
use crate::kernels::scalar::quantized::{Products, block_scale};

impl Products for Long {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn of_halves(weights: &[i8; BLOCK], x: &[i8; BLOCK]) -> [i32; 2] {
        [0, 16].map(|half| {
            // SAFETY: sixteen codes are readable from either.
            let (w, x) =
                unsafe { (vld1q_s8(weights.as_ptr().add(half)), vld1q_s8(x.as_ptr().add(half))) };
            // Two products of a byte with at most 127 fit in 16 bits.
            let products = vmull_s8(vget_low_s8(w), vget_low_s8(x));
            vaddlvq_s16(vmlal_high_s8(products, w, x))
        })
    }
}

/// A row of activations to 8 bits: what the scalar table gives.
#[target_feature(enable = "neon")]
pub(super) fn quantize_row(values: &[f32], out: Q8RowMut<'_>) {
    let blocks = values.as_chunks::<BLOCK>().0.iter().zip(out.codes.as_chunks_mut::<BLOCK>().0);
    for (index, (values, codes)) in blocks.enumerate() {
        let scale = quantize(values, codes);
        // SAFETY: sixteen codes are readable from either.
        let [low, high] = [0, 16]
            .map(|half| i32::from(vaddlvq_s8(unsafe { vld1q_s8(codes.as_ptr().add(half)) })));
        out.scales[index] = scale;
        out.sums[index] = scale * (low + high) as f32;
        out.low_sums[index] = scale * low as f32;
        out.high_sums[index] = scale * high as f32;
    }
}

/// A block of `N` values, a multiple of eight, to codes; returns their scale.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn quantize<const N: usize>(values: &[f32; N], codes: &mut [i8; N]) -> f32 {
    // As integers, magnitudes sort like floats, and NaN above infinity.
    let mut largest = vdupq_n_u32(0);
    for value in values.as_chunks().0 {
        largest = vmaxq_u32(largest, vreinterpretq_u32_f32(vabsq_f32(load(value))));
    }
    let scale = block_scale(vmaxvq_u32(largest));
    // A scale of zero and of NaN both mean that no code says anything.
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    for (values, codes) in values.as_chunks().0.iter().zip(codes.as_chunks_mut::<8>().0) {
        // To the nearest, ties to even; what is no number becomes zero.
        let [low, high] = load_eight(values);
        let low = vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(low, inverse)));
        let high = vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(high, inverse)));
        // SAFETY: eight bytes are writable.
        unsafe { vst1_s8(codes.as_mut_ptr(), vqmovn_s16(vcombine_s16(low, high))) };
    }
    scale
}
