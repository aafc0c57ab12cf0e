//! Products of queries with keys.
//!
//! The loops, from the outside: 4 keys, up to 2 queries, columns. With keys that are floats a tile
//! keeps the lanes of each of its pairs; with codes, whose products are added up as integers, a
//! lane is a pair.

use std::arch::aarch64::*;
use std::marker::PhantomData;

use half::f16;

use super::super::dot_product::DotProduct;
use super::codes::{Block, Q8, widen};
use super::kept::{Codes, Kept, Task, with_rows};
use crate::kernels::Queries;
use crate::kernels::aarch64::neon::vector::{load_eight, padded, store, sum_eight};
use crate::kernels::kv::KvRows;

/// Keys of a tile.
pub(super) const KEYS: usize = 4;

/// The scores of `Q` queries with the keys of a tile.
pub(super) type Scores<const Q: usize> = [[f32; KEYS]; Q];

/// # Safety
/// The machine has the instructions of `P`; lengths are as `Kernels::scores` checks them.
#[target_feature(enable = "neon")]
pub(super) unsafe fn scores<P: DotProduct>(
    queries: Queries<'_>,
    keys: KvRows<'_>,
    count: usize,
    out: &mut [f32],
    out_stride: usize,
) {
    let products = PhantomData::<P>;
    // SAFETY: queries, keys and blocks were checked.
    unsafe { with_rows(keys, Fill { queries, count, out, stride: out_stride, products }) }
}

/// There are `count` keys, room for the scores, and the instructions of `P`.
struct Fill<'a, P> {
    queries: Queries<'a>,
    count: usize,
    out: &'a mut [f32],
    stride: usize,
    products: PhantomData<P>,
}

impl<P: DotProduct> Task for Fill<'_, P> {
    #[target_feature(enable = "neon")]
    unsafe fn run<K: Kept>(mut self, keys: K) {
        let queries = self.queries.len();
        for key in (0..self.count).step_by(KEYS) {
            // SAFETY: there are so many queries, and there is a key.
            unsafe {
                for query in (0..queries / 2 * 2).step_by(2) {
                    self.tile::<K, 2>(keys, query, key);
                }
                if queries % 2 == 1 {
                    self.tile::<K, 1>(keys, queries - 1, key);
                }
            }
        }
    }
}

impl<P: DotProduct> Fill<'_, P> {
    /// The scores of `Q` queries from `query` on with up to four keys from `key` on.
    ///
    /// # Safety
    /// There are so many queries from `query` on, and there is a key.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn tile<K: Kept, const Q: usize>(&mut self, keys: K, query: usize, key: usize) {
        let last = self.count - 1;
        // Behind the last key comes the last key, whose scores are not kept.
        let places = std::array::from_fn(|at| last.min(key + at));
        // SAFETY: the queries and keys are there.
        let scores = unsafe { keys.scores::<P, Q>(&self.queries, query, places) };
        let count = KEYS.min(self.count - key);
        for (at, scores) in scores.iter().enumerate() {
            let out = &mut self.out[(query + at) * self.stride + key..][..count];
            out.copy_from_slice(&scores[..count]);
        }
    }
}

/// The scores with keys that are floats: eight lanes a pair.
///
/// # Safety
/// See [`Kept::scores`].
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn of_floats<K: Kept, const Q: usize>(
    rows: K,
    queries: &Queries<'_>,
    query: usize,
    keys: [usize; KEYS],
) -> Scores<Q> {
    let mut lanes = [[[vdupq_n_f32(0.0); 2]; KEYS]; Q];
    let width = queries.width;
    let mut own: [&[f32]; Q] = [&[]; Q];
    for (at, own) in own.iter_mut().enumerate() {
        *own = &queries.floats[(query + at) * width..][..width];
    }
    let whole = width / 8 * 8;
    let mut parts = [[vdupq_n_f32(0.0); 2]; Q];
    for column in (0..whole).step_by(8) {
        for (part, own) in parts.iter_mut().zip(own) {
            // SAFETY: eight elements of the query are readable.
            *part = load_eight(unsafe { &*own.as_ptr().add(column).cast() });
        }
        for (at, key) in keys.into_iter().enumerate() {
            // SAFETY: the key has these columns.
            add(&parts, unsafe { rows.eight(key, column) }, at, &mut lanes);
        }
    }
    if whole < width {
        for (part, own) in parts.iter_mut().zip(own) {
            *part = load_eight(&padded(&own[whole..]));
        }
        for (at, key) in keys.into_iter().enumerate() {
            // SAFETY: the key has these columns.
            add(&parts, unsafe { rows.rest(key, whole, width - whole) }, at, &mut lanes);
        }
    }
    let mut scores = [[0.0; KEYS]; Q];
    for (score, lanes) in scores.as_flattened_mut().iter_mut().zip(lanes.as_flattened()) {
        *score = sum_eight(*lanes);
    }
    scores
}

/// Adds the products of eight elements of all queries and of key `at`.
#[inline]
#[target_feature(enable = "neon")]
fn add<const Q: usize>(
    queries: &[[float32x4_t; 2]; Q],
    key: [float32x4_t; 2],
    at: usize,
    lanes: &mut [[[float32x4_t; 2]; KEYS]; Q],
) {
    for (lanes, query) in lanes.iter_mut().zip(queries) {
        for half in 0..2 {
            lanes[at][half] = vfmaq_f32(lanes[at][half], query[half], key[half]);
        }
    }
}

/// The scores with keys that are codes: a lane a pair. The products of a block are integers, and
/// added up as such.
///
/// # Safety
/// See [`Kept::scores`].
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn of_codes<P: DotProduct, B: Block<N>, const N: usize, const Q: usize>(
    rows: Codes<'_, B, N>,
    queries: &Queries<'_>,
    query: usize,
    keys: [usize; KEYS],
) -> Scores<Q> {
    let mut lanes = [vdupq_n_f32(0.0); Q];
    let blocks = queries.width / (8 * N);
    for index in 0..blocks {
        let mut codes = [[vdupq_n_s8(0); 2]; Q];
        let mut scales = [0.0; Q];
        for (at, (codes, scale)) in codes.iter_mut().zip(&mut scales).enumerate() {
            let block = (query + at) * blocks + index;
            // SAFETY: the query has the block.
            unsafe {
                *scale = *queries.scales.get_unchecked(block);
                *codes = <Q8 as Block<N>>::codes(queries.codes.as_ptr().add(block * 8 * N).cast());
            }
        }
        let mut products = [[vdupq_n_s32(0); KEYS]; Q];
        let mut their_scales = [&f16::ZERO; KEYS];
        for (at, key) in keys.into_iter().enumerate() {
            // SAFETY: the key has the block.
            let (theirs, scale) = unsafe {
                let (block, scale) = rows.block(key * (rows.stride / (8 * N)) + index);
                (B::codes(block), scale)
            };
            their_scales[at] = scale;
            for (products, ours) in products.iter_mut().zip(&codes) {
                for (theirs, ours) in theirs.into_iter().zip(*ours).take(N.div_ceil(2)) {
                    // SAFETY: the machine has the instructions.
                    products[at] = unsafe { P::add(products[at], theirs, ours) };
                }
            }
        }
        let their_scales = widen(their_scales);
        for ((lanes, [a, b, c, d]), scale) in lanes.iter_mut().zip(products).zip(scales) {
            let sums = vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
            let scales = vmulq_n_f32(their_scales, scale);
            *lanes = vfmaq_f32(*lanes, vcvtq_f32_s32(sums), scales);
        }
    }
    let mut scores = [[0.0; KEYS]; Q];
    scores.iter_mut().zip(lanes).for_each(|(scores, lanes)| store(lanes, scores));
    scores
}
