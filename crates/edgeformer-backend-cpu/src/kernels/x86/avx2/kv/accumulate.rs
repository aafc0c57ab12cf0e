//! Weighted sums of values.
//!
//! The loops, from the outside: 64 keys, 32 columns, 3 queries, keys, vectors. The columns of the
//! values are decoded once for all queries; the sums of a tile stay in registers over its keys.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::super::vector::{LANES, load_some, store_some};
use super::decode::{Decode, Task, WIDE, some, with_rows};
use crate::kernels::kv::KvRows;

/// Values of a panel.
const KEYS: usize = 64;
/// Queries whose sums are in registers at a time.
const TILE: usize = 3;

/// Decoded columns of values: `[key][vector]`.
type Panel = [MaybeUninit<[__m256; WIDE]>; KEYS];

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn accumulate(
    weights: &[f32],
    weights_stride: usize,
    values: KvRows<'_>,
    count: usize,
    sums: &mut [f32],
    width: usize,
) {
    let task = Accumulate { weights, weights_stride, count, sums, width };
    // SAFETY: the machine has the features; `Kernels::accumulate` checked the blocks, and that
    // there are `count` values of `width` elements.
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
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn run<R: Decode>(self, values: R) {
        let Self { weights, weights_stride, count, sums, width } = self;
        let mut panel: Panel = [MaybeUninit::uninit(); KEYS];
        for first in (0..count).step_by(KEYS) {
            let keys = first..count.min(first + KEYS);
            for column in (0..width).step_by(WIDE * LANES) {
                let columns = column..width.min(column + WIDE * LANES);
                for (place, key) in panel.iter_mut().zip(keys.clone()) {
                    // SAFETY: there is such a value, and it has these columns.
                    place.write(unsafe { part(values, key, columns.start, columns.len()) });
                }
                // SAFETY: as many were just written.
                let panel = unsafe { panel[..keys.len()].assume_init_ref() };
                let tile = Tile { panel, weights_stride, width, columns: columns.clone() };
                let weights = weights.get(first..).unwrap_or_default();
                match columns.len().div_ceil(LANES) {
                    1 => tile.add_all::<1>(weights, sums),
                    2 => tile.add_all::<2>(weights, sums),
                    3 => tile.add_all::<3>(weights, sums),
                    _ => tile.add_all::<WIDE>(weights, sums),
                }
            }
        }
    }
}

/// Up to 32 columns of a value, with zeros behind them.
///
/// # Safety
/// See [`Decode::vector`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn part<R: Decode>(values: R, key: usize, column: usize, len: usize) -> [__m256; WIDE] {
    if len == WIDE * LANES {
        // SAFETY: the caller's.
        return unsafe { values.wide(key, column) };
    }
    let mut vectors = [_mm256_setzero_ps(); WIDE];
    for (vector, start) in vectors.iter_mut().zip((0..len).step_by(LANES)) {
        // SAFETY: the caller's.
        *vector = unsafe { some(values, key, column + start, LANES.min(len - start)) };
    }
    vectors
}

/// A panel and where it belongs.
struct Tile<'a> {
    panel: &'a [[__m256; WIDE]],
    weights_stride: usize,
    width: usize,
    columns: std::ops::Range<usize>,
}

impl Tile<'_> {
    /// Adds the panel, `C` vectors wide, to the sums of all queries. `weights` begins with that of
    /// the panel's first key for the first query.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn add_all<const C: usize>(&self, weights: &[f32], sums: &mut [f32]) {
        let queries = sums.len() / self.width;
        // Four queries are two and two: the chains of a single one would wait for additions.
        let in_tiles = if queries % TILE == 1 { queries.saturating_sub(TILE + 1) } else { queries };
        let (sums, rest) = sums.split_at_mut(in_tiles / TILE * TILE * self.width);
        for (index, sums) in sums.chunks_exact_mut(TILE * self.width).enumerate() {
            self.add::<C, TILE>(&weights[index * TILE * self.weights_stride..], sums);
        }
        let first = in_tiles / TILE * TILE;
        for (index, sums) in rest.chunks_mut(2 * self.width).enumerate() {
            let weights = &weights[(first + index * 2) * self.weights_stride..];
            match sums.len() / self.width {
                1 => self.add::<C, 1>(weights, sums),
                _ => self.add::<C, 2>(weights, sums),
            }
        }
    }

    /// The same for `Q` queries.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn add<const C: usize, const Q: usize>(&self, weights: &[f32], sums: &mut [f32]) {
        let mut of = [std::ptr::null(); Q];
        for (index, of) in of.iter_mut().enumerate() {
            *of = weights[index * self.weights_stride..][..self.panel.len()].as_ptr();
        }
        let mut lanes = [[_mm256_setzero_ps(); C]; Q];
        for (lanes, sums) in lanes.iter_mut().zip(sums.chunks_exact(self.width)) {
            let sums = sums[self.columns.clone()].chunks(LANES);
            lanes.iter_mut().zip(sums).for_each(|(lane, sums)| *lane = load_some(sums));
        }
        for (key, values) in self.panel.iter().enumerate() {
            // SAFETY: there are as many weights behind each pointer as the panel has keys.
            let weights = of.map(|of| unsafe { _mm256_broadcast_ss(&*of.add(key)) });
            for (column, value) in values[..C].iter().enumerate() {
                for (lanes, weight) in lanes.iter_mut().zip(weights) {
                    lanes[column] = _mm256_fmadd_ps(weight, *value, lanes[column]);
                }
            }
        }
        for (lanes, sums) in lanes.iter().zip(sums.chunks_exact_mut(self.width)) {
            let sums = sums[self.columns.clone()].chunks_mut(LANES);
            lanes.iter().zip(sums).for_each(|(lane, sums)| store_some(*lane, sums));
        }
    }
}
