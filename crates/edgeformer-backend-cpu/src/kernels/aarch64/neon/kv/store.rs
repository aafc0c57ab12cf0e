//! Floats to the codes that the cache keeps; same bits as in the scalar table.

use std::arch::aarch64::*;

use half::f16;

use crate::kernels::aarch64::neon::quantized::{largest_magnitude, quantize, to_codes};
use crate::kernels::aarch64::neon::vector::load_eight;
use crate::kernels::scalar::kv::inverse;
use crate::kernels::scalar::quantized::block_scale;

#[target_feature(enable = "neon")]
pub(super) fn quantize_queries(floats: &[f32], block: usize, codes: &mut [i8], scales: &mut [f32]) {
    match block {
        32 => queries::<32>(floats, codes, scales),
        16 => queries::<16>(floats, codes, scales),
        _ => queries::<8>(floats, codes, scales),
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn queries<const N: usize>(floats: &[f32], codes: &mut [i8], scales: &mut [f32]) {
    let blocks = floats.as_chunks::<N>().0.iter().zip(codes.as_chunks_mut::<N>().0);
    for ((values, codes), scale) in blocks.zip(scales) {
        *scale = quantize(values, codes);
    }
}

#[target_feature(enable = "neon")]
pub(super) fn store_q8(row: &[f32], block: usize, codes: &mut [i8], scales: &mut [f16]) {
    match block {
        32 => eight_bits::<32>(row, codes, scales),
        16 => eight_bits::<16>(row, codes, scales),
        _ => eight_bits::<8>(row, codes, scales),
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn eight_bits<const N: usize>(row: &[f32], codes: &mut [i8], scales: &mut [f16]) {
    let blocks = row.as_chunks::<N>().0.iter().zip(codes.as_chunks_mut::<N>().0);
    for ((values, codes), scale) in blocks.zip(scales) {
        *scale = f16::from_f32(block_scale(largest_magnitude(values)));
        to_codes(values, inverse(scale.to_f32()), codes);
        // The scale was rounded: what it had as 127 may be a little more.
        codes.iter_mut().for_each(|code| *code = (*code).max(-127));
    }
}

#[target_feature(enable = "neon")]
pub(super) fn store_q4(row: &[f32], block: usize, codes: &mut [u8], scales: &mut [f16]) {
    match block {
        32 => four_bits::<32, 16>(row, codes, scales),
        16 => four_bits::<16, 8>(row, codes, scales),
        _ => four_bits::<8, 4>(row, codes, scales),
    }
}

/// Blocks of `N` values, in `HALF` as many bytes.
#[inline]
#[target_feature(enable = "neon")]
fn four_bits<const N: usize, const HALF: usize>(row: &[f32], codes: &mut [u8], scales: &mut [f16]) {
    let blocks = row.as_chunks::<N>().0.iter().zip(codes.as_chunks_mut::<HALF>().0);
    for ((values, codes), scale) in blocks.zip(scales) {
        *scale = f16::from_f32(first_largest(values) / -8.0);
        let inverse = inverse(scale.to_f32());
        let mut unpacked = [0; N];
        for (values, codes) in values.as_chunks().0.iter().zip(unpacked.as_chunks_mut::<8>().0) {
            nibbles(values, inverse, codes);
        }
        let (low, high) = unpacked.split_at(HALF);
        for ((out, low), high) in codes.iter_mut().zip(low).zip(high) {
            *out = low | high << 4;
        }
    }
}

/// The first of the elements of largest magnitude.
#[inline]
#[target_feature(enable = "neon")]
fn first_largest<const N: usize>(values: &[f32; N]) -> f32 {
    let largest = largest_magnitude(values);
    // The scalar table begins with a zero that has no sign.
    if largest == 0 {
        return 0.0;
    }
    let first = values.iter().find(|value| value.abs().to_bits() == largest);
    *first.expect("the largest magnitude is that of an element")
}

/// Codes from 0 to 15; what is no number becomes 0.
#[inline]
#[target_feature(enable = "neon")]
fn nibbles(values: &[f32; 8], inverse: f32, codes: &mut [u8; 8]) {
    let [low, high] = load_eight(values).map(|values| {
        let moved = vaddq_f32(vmulq_n_f32(values, inverse), vdupq_n_f32(8.5));
        // Towards zero; what is below it becomes zero.
        vqmovn_u32(vcvtq_u32_f32(moved))
    });
    let all = vmin_u8(vqmovn_u16(vcombine_u16(low, high)), vdup_n_u8(15));
    // SAFETY: eight bytes are writable.
    unsafe { vst1_u8(codes.as_mut_ptr(), all) };
}
