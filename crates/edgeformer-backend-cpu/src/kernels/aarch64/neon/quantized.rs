//! Floats to 8 bits.

use std::arch::aarch64::*;

use super::vector::{load, load_eight};
use crate::kernels::q8::{BLOCK, Q8RowMut};
use crate::kernels::scalar::quantized::block_scale;

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
    let scale = block_scale(largest_magnitude(values));
    // A scale of zero and of NaN both mean that no code says anything.
    to_codes(values, if scale > 0.0 { 1.0 / scale } else { 0.0 }, codes);
    scale
}

/// The bits of the largest magnitude of `N` values, a multiple of four. As integers, magnitudes
/// sort like floats, and NaN above infinity.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn largest_magnitude<const N: usize>(values: &[f32; N]) -> u32 {
    let mut largest = vdupq_n_u32(0);
    for value in values.as_chunks().0 {
        largest = vmaxq_u32(largest, vreinterpretq_u32_f32(vabsq_f32(load(value))));
    }
    vmaxvq_u32(largest)
}

/// The nearest codes to `inverse` times `N` values, a multiple of eight: ties to even, -128..=127
/// at most, and zero for what is no number.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn to_codes<const N: usize>(values: &[f32; N], inverse: f32, codes: &mut [i8; N]) {
    for (values, codes) in values.as_chunks().0.iter().zip(codes.as_chunks_mut::<8>().0) {
        let [low, high] = load_eight(values);
        let low = vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(low, inverse)));
        let high = vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(high, inverse)));
        // SAFETY: eight bytes are writable.
        unsafe { vst1_s8(codes.as_mut_ptr(), vqmovn_s16(vcombine_s16(low, high))) };
    }
}
