//! Floats to codes; same bits as in the scalar table.

use std::arch::x86_64::*;

use half::f16;

use super::super::vector::{LANES, load};
use crate::kernels::scalar::kv::inverse;
use crate::kernels::scalar::quantized::block_scale;

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn quantize_queries(floats: &[f32], block: usize, codes: &mut [i8], scales: &mut [f32]) {
    let blocks = floats.chunks_exact(block).zip(codes.chunks_exact_mut(block)).zip(scales);
    for ((values, codes), scale) in blocks {
        *scale = block_scale(largest_magnitude(values));
        // A scale of zero and of NaN both mean that no code says anything.
        if *scale > 0.0 {
            to_codes(values, 1.0 / *scale, codes);
        } else {
            codes.fill(0);
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn store_q8(row: &[f32], block: usize, codes: &mut [i8], scales: &mut [f16]) {
    let blocks = row.chunks_exact(block).zip(codes.chunks_exact_mut(block)).zip(scales);
    for ((values, codes), scale) in blocks {
        *scale = f16::from_f32(block_scale(largest_magnitude(values)));
        match inverse(scale.to_f32()) {
            // What is not finite has such a scale, and would not become zero.
            0.0 => codes.fill(0),
            inverse => to_codes(values, inverse, codes),
        }
    }
}

/// The bits of the largest magnitude. As integers, magnitudes sort like floats, and NaN above
/// infinity.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn largest_magnitude(values: &[f32]) -> u32 {
    let magnitudes = _mm256_set1_epi32(i32::MAX);
    let mut eight = _mm256_setzero_si256();
    for values in values.as_chunks::<LANES>().0 {
        let values = _mm256_and_si256(_mm256_castps_si256(load(values)), magnitudes);
        eight = _mm256_max_epi32(eight, values);
    }
    let four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
    let two = _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
    _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32::<1>(two))).cast_unsigned()
}

/// The nearest codes from -127 to 127; all values are finite.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn to_codes(values: &[f32], inverse: f32, codes: &mut [i8]) {
    let inverse = _mm256_set1_ps(inverse);
    let lowest = _mm_set1_epi8(-127);
    for (values, codes) in values.as_chunks::<LANES>().0.iter().zip(codes.as_chunks_mut::<8>().0) {
        let nearest = _mm256_cvtps_epi32(_mm256_mul_ps(load(values), inverse));
        // Packing saturates to -128..=127.
        let packed = _mm_max_epi8(pack(nearest), lowest);
        // SAFETY: eight bytes are writable; the store needs no alignment.
        unsafe { _mm_storel_epi64(codes.as_mut_ptr().cast(), packed) };
    }
}

/// Eight integers to bytes, saturated.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn pack(values: __m256i) -> __m128i {
    let (low, high) = (_mm256_castsi256_si128(values), _mm256_extracti128_si256::<1>(values));
    let words = _mm_packs_epi32(low, high);
    _mm_packs_epi16(words, words)
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn store_q4(row: &[f32], block: usize, codes: &mut [u8], scales: &mut [f16]) {
    let blocks = row.chunks_exact(block).zip(codes.chunks_exact_mut(block / 2)).zip(scales);
    for ((values, codes), scale) in blocks {
        *scale = f16::from_f32(first_largest(values) / -8.0);
        let inverse = inverse(scale.to_f32());
        let mut unpacked = [0; 32];
        for (values, codes) in values.as_chunks::<LANES>().0.iter().zip(unpacked.as_chunks_mut().0)
        {
            *codes = nibbles(load(values), inverse);
        }
        let (low, high) = unpacked[..block].split_at(block / 2);
        for ((out, low), high) in codes.iter_mut().zip(low).zip(high) {
            *out = low | high << 4;
        }
    }
}

/// The first of the elements of largest magnitude.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn first_largest(values: &[f32]) -> f32 {
    let largest = largest_magnitude(values);
    let first = values.iter().find(|value| value.abs().to_bits() == largest);
    // The scalar table begins with a zero that has no sign.
    first.map_or(0.0, |first| if largest == 0 { 0.0 } else { *first })
}

/// Codes from 0 to 15; what is no number becomes 0.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn nibbles(values: __m256, inverse: f32) -> [u8; LANES] {
    let moved = _mm256_mul_ps(values, _mm256_set1_ps(inverse));
    let moved = _mm256_floor_ps(_mm256_add_ps(moved, _mm256_set1_ps(8.5)));
    // `max` returns its second operand if one is NaN.
    let codes = _mm256_max_ps(moved, _mm256_setzero_ps());
    let codes = _mm256_min_ps(codes, _mm256_set1_ps(15.0));
    let mut bytes = [0; LANES];
    // SAFETY: eight bytes are writable; the store needs no alignment.
    unsafe { _mm_storel_epi64(bytes.as_mut_ptr().cast(), pack(_mm256_cvttps_epi32(codes))) };
    bytes
}
