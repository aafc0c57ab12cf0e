//! Weighted sums of values.
//!
//! The loops, from the outside: 64 keys, up to 4 queries, up to 32 columns, keys. The sums of a
//! tile stay in registers over its keys; values are decoded once a tile.

use std::arch::aarch64::*;

use super::kept::{Kept, Task, with_rows};
use crate::kernels::aarch64::neon::vector::{load_eight, padded};
use crate::kernels::kv::KvRows;

/// Keys whose values stay in the first-level cache for all queries and columns.
const KEYS: usize = 64;

#[target_feature(enable = "neon")]
pub(super) fn accumulate(
    weights: &[f32],
    weights_stride: usize,
    values: KvRows<'_>,
    count: usize,
    sums: &mut [f32],
    width: usize,
) {
    let task = Accumulate { weights, weights_stride, count, sums, width };
    // SAFETY: `Kernels::accumulate` checked the blocks, and that there are `count` values of `width`
    // elements.
    unsafe { with_rows(values, task) }
}

/// There are `count` values of `width` elements.
struct Accumulate<'a> {
    weights: &'a [f32],
    weights_stride: usize,
    count: usize,
    sums: &'a mut [f32],
    width: usize,
}

impl Task for Accumulate<'_> {
    #[target_feature(enable = "neon")]
    unsafe fn run<D: Kept>(self, values: D) {
        let Self { weights, weights_stride, count, sums, width } = self;
        for first in (0..count).step_by(KEYS) {
            let keys = Keys { first, count: KEYS.min(count - first), width };
            let queries = sums.len() / width;
            let mut query = 0;
            while query < queries {
                let weights = &weights[query * weights_stride + first..];
                let sums = &mut sums[query * width..];
                // SAFETY: there are such values.
                query += unsafe {
                    match queries - query {
                        4.. => keys.add::<D, 4, 2>(values, weights, weights_stride, sums),
                        2.. => keys.add::<D, 2, 4>(values, weights, weights_stride, sums),
                        _ => keys.add::<D, 1, 4>(values, weights, weights_stride, sums),
                    }
                };
            }
        }
    }
}

/// Values of neighbouring keys.
struct Keys {
    first: usize,
    count: usize,
    width: usize,
}

impl Keys {
    /// Adds all columns to the sums of the first `Q` queries, `C` times eight at a time; returns
    /// how many queries these are. `weights` begins with that of the first key.
    ///
    /// # Safety
    /// There are such values.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn add<D: Kept, const Q: usize, const C: usize>(
        &self,
        values: D,
        weights: &[f32],
        weights_stride: usize,
        sums: &mut [f32],
    ) -> usize {
        let mut of: [&[f32]; Q] = [&[]; Q];
        for (query, of) in of.iter_mut().enumerate() {
            *of = &weights[query * weights_stride..][..self.count];
        }
        let weights = of;
        let mut column = 0;
        // SAFETY: the values have these columns.
        unsafe {
            while column + 8 * C <= self.width {
                self.columns::<D, Q, C>(values, weights, sums, column);
                column += 8 * C;
            }
            while column + 8 <= self.width {
                self.columns::<D, Q, 1>(values, weights, sums, column);
                column += 8;
            }
            if column < self.width {
                self.last_columns::<D, Q>(values, weights, sums, column);
            }
        }
        Q
    }

    /// Adds `C` times eight columns from `column` on.
    ///
    /// # Safety
    /// The values have these columns.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn columns<D: Kept, const Q: usize, const C: usize>(
        &self,
        values: D,
        weights: [&[f32]; Q],
        sums: &mut [f32],
        column: usize,
    ) {
        let mut lanes = [[[vdupq_n_f32(0.0); 2]; C]; Q];
        for (query, lanes) in lanes.iter_mut().enumerate() {
            let sums = &sums[query * self.width + column..][..8 * C];
            for (lanes, sums) in lanes.iter_mut().zip(sums.as_chunks().0) {
                *lanes = load_eight(sums);
            }
        }
        for key in 0..self.count {
            let mut value = [[vdupq_n_f32(0.0); 2]; C];
            for (at, value) in value.iter_mut().enumerate() {
                // SAFETY: the value has these columns.
                *value = unsafe { values.eight(self.first + key, column + 8 * at) };
            }
            for (lanes, weights) in lanes.iter_mut().zip(weights) {
                // SAFETY: there is a weight for each key.
                let weight = unsafe { *weights.get_unchecked(key) };
                for (lanes, value) in lanes.iter_mut().zip(&value) {
                    add(weight, value, lanes);
                }
            }
        }
        for (query, lanes) in lanes.iter().enumerate() {
            let sums = &mut sums[query * self.width + column..][..8 * C];
            for (lanes, sums) in lanes.iter().zip(sums.chunks_exact_mut(8)) {
                store_some(*lanes, sums);
            }
        }
    }

    /// Adds the last columns, fewer than eight, from `column` on.
    ///
    /// # Safety
    /// The values have these columns.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn last_columns<D: Kept, const Q: usize>(
        &self,
        values: D,
        weights: [&[f32]; Q],
        sums: &mut [f32],
        column: usize,
    ) {
        let len = self.width - column;
        for (query, weights) in weights.into_iter().enumerate() {
            let sums = &mut sums[query * self.width + column..][..len];
            let mut lanes = load_eight(&padded(sums));
            for (key, &weight) in weights.iter().enumerate() {
                // SAFETY: the value has these columns.
                add(weight, &unsafe { values.rest(self.first + key, column, len) }, &mut lanes);
            }
            store_some(lanes, sums);
        }
    }
}

/// `lanes` += `weight` times `values`.
#[inline]
#[target_feature(enable = "neon")]
fn add(weight: f32, values: &[float32x4_t; 2], lanes: &mut [float32x4_t; 2]) {
    for half in 0..2 {
        lanes[half] = vfmaq_n_f32(lanes[half], values[half], weight);
    }
}

/// As many of eight lanes as there is room for.
#[inline]
#[target_feature(enable = "neon")]
fn store_some([low, high]: [float32x4_t; 2], to: &mut [f32]) {
    let mut all = [0.0; 8];
    // SAFETY: 32 bytes are writable.
    unsafe {
        vst1q_f32(all.as_mut_ptr(), low);
        vst1q_f32(all.as_mut_ptr().add(4), high);
    }
    to.copy_from_slice(&all[..to.len()]);
}

#[target_feature(enable = "neon")]
pub(super) fn decode_rows(rows: KvRows<'_>, width: usize, out: &mut [f32]) {
    // SAFETY: `Kernels::decode_rows` checked the blocks and that there are such rows.
    unsafe { with_rows(rows, DecodeRows { width, out }) }
}

/// There are as many rows of `width` elements as `out` has.
struct DecodeRows<'a> {
    width: usize,
    out: &'a mut [f32],
}

impl Task for DecodeRows<'_> {
    #[target_feature(enable = "neon")]
    unsafe fn run<D: Kept>(self, rows: D) {
        for (row, out) in self.out.chunks_exact_mut(self.width).enumerate() {
            for (at, out) in out.chunks_mut(8).enumerate() {
                // SAFETY: there is such a row, and it has these columns.
                let values = unsafe {
                    match out.len() {
                        8 => rows.eight(row, 8 * at),
                        len => rows.rest(row, 8 * at, len),
                    }
                };
                store_some(values, out);
            }
        }
    }
}
