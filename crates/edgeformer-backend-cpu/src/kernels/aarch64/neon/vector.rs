//! Vectors of four floats.

use std::arch::aarch64::*;

/// Floats of a vector.
pub(super) const LANES: usize = 4;

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load(from: &[f32; LANES]) -> float32x4_t {
    // SAFETY: 16 bytes are readable; the load needs no alignment.
    unsafe { vld1q_f32(from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn store(value: float32x4_t, to: &mut [f32; LANES]) {
    // SAFETY: 16 bytes are writable; the store needs no alignment.
    unsafe { vst1q_f32(to.as_mut_ptr(), value) }
}

/// Up to `N` values, zeros behind them.
#[inline]
pub(super) fn padded<T: Copy + Default, const N: usize>(from: &[T]) -> [T; N] {
    let mut all = [T::default(); N];
    all[..from.len()].copy_from_slice(from);
    all
}

/// Eight floats.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load_eight(from: &[f32; 8]) -> [float32x4_t; 2] {
    // SAFETY: 32 bytes are readable; the loads need no alignment.
    unsafe { [vld1q_f32(from.as_ptr()), vld1q_f32(from.as_ptr().add(LANES))] }
}

/// The sum of eight lanes, in the order of the scalar table.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn sum_eight([low, high]: [float32x4_t; 2]) -> f32 {
    let four = vaddq_f32(low, high);
    let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
}

/// Replaces every element by its image.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn map(values: &mut [f32], function: impl Fn(float32x4_t) -> float32x4_t) {
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
