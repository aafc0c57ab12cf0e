//! Loads, stores and sums of vectors, safe for those who run AVX2.

use std::arch::x86_64::*;

use crate::kernels::packed::LINE;

/// Elements of a vector of floats.
pub(super) const LANES: usize = 8;

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load(from: &[f32; 8]) -> __m256 {
    // SAFETY: 32 bytes are readable; the load needs no alignment.
    unsafe { _mm256_loadu_ps(from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn store(value: __m256, to: &mut [f32; 8]) {
    // SAFETY: 32 bytes are writable; the store needs no alignment.
    unsafe { _mm256_storeu_ps(to.as_mut_ptr(), value) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load_bytes(from: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are readable; the load needs no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load_16_bytes(from: &[u8; 16]) -> __m128i {
    // SAFETY: 16 bytes are readable; the load needs no alignment.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

/// Fewer than eight values, zeros behind them.
#[inline]
pub(super) fn padded<T: Copy + Default>(from: &[T]) -> [T; 8] {
    let mut all = [T::default(); 8];
    all[..from.len()].copy_from_slice(from);
    all
}

/// Up to eight values, zeros behind them.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn load_some(from: &[f32]) -> __m256 {
    match from.first_chunk() {
        Some(all) => load(all),
        None => load(&padded(from)),
    }
}

/// As many of the lanes, up to eight, as there is room for.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn store_some(value: __m256, to: &mut [f32]) {
    if let Some(all) = to.first_chunk_mut() {
        return store(value, all);
    }
    let mut all = [0.0; LANES];
    store(value, &mut all);
    to.copy_from_slice(&all[..to.len()]);
}

/// The sum of the lanes, in the order of the scalar table.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn sum(value: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps::<1>(value));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    let one = _mm_add_ss(two, _mm_movehdup_ps(two));
    _mm_cvtss_f32(one)
}

/// The largest of the lanes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn max(value: __m256) -> f32 {
    let four = _mm_max_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps::<1>(value));
    let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    let one = _mm_max_ss(two, _mm_movehdup_ps(two));
    _mm_cvtss_f32(one)
}

/// Replaces every element by its image.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn map(values: &mut [f32], function: impl Fn(__m256) -> __m256) {
    let (chunks, tail) = values.as_chunks_mut();
    for chunk in chunks {
        store(function(load(chunk)), chunk);
    }
    if !tail.is_empty() {
        let mut last = padded(tail);
        store(function(load(&last)), &mut last);
        tail.copy_from_slice(&last[..tail.len()]);
    }
}

/// Asks memory for some lines, to have them in the cache that `HINT` names. They need not be there:
/// behind the last panel or key there may be nothing.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn ask_for<const HINT: i32>(start: *const u8, lines: usize) {
    for line in 0..lines {
        // A hint, which never faults.
        _mm_prefetch::<HINT>(start.wrapping_add(line * LINE).cast());
    }
}
