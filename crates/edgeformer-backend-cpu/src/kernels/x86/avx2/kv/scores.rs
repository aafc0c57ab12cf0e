//! Products of queries with keys.
//!
//! Several queries meet 8-bit keys in long blocks as [`crosswise`] says, all others like this. The
//! loops, from the outside: 4 keys, 2 or 3 queries, columns. A tile keeps eight lanes for
//! each of its pairs. Keys of 16 bits that many queries meet are widened once for all of them.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;
use std::ops::RangeInclusive;

use half::f16;

use super::super::vector::{LANES, ask_for};
use super::codes::{Codes, Q4, Q8};
use super::crosswise;
use super::decode::{Element, end};
use crate::kernels::Queries;
use crate::kernels::kv::KvRows;
use crate::kernels::packed::LINE;

/// Keys of a tile.
pub(super) const KEYS: usize = 4;

/// The lanes of `Q` queries and the keys of a tile.
pub(super) type Lanes<const Q: usize> = [[__m256; KEYS]; Q];

/// Queries and keys of some format.
pub(super) trait Pairs {
    /// Queries of a tile, at most three: those whose lanes and parts registers hold.
    const QUERIES: usize;

    /// The lanes of `Q` queries from `query` on with these keys.
    ///
    /// # Safety
    /// The machine has AVX2, FMA and F16C; there are such queries and such keys.
    unsafe fn lanes<const Q: usize>(&self, query: usize, keys: [usize; KEYS]) -> Lanes<Q>;
}

/// Queries and keys as floats, rows of `width`.
struct Floats<'a, T> {
    queries: &'a [f32],
    keys: &'a [T],
    stride: usize,
    width: usize,
}

impl<T: Element> Pairs for Floats<'_, T> {
    const QUERIES: usize = T::QUERIES;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn lanes<const Q: usize>(&self, query: usize, keys: [usize; KEYS]) -> Lanes<Q> {
        let mut lanes = [[_mm256_setzero_ps(); KEYS]; Q];
        // SAFETY: there are such queries and keys, of `width` elements.
        unsafe {
            let keys = keys.map(|key| self.keys.as_ptr().add(key * self.stride));
            let mut queries = [self.queries.as_ptr().add(query * self.width); Q];
            for (index, query) in queries.iter_mut().enumerate() {
                *query = query.add(index * self.width);
            }
            let whole = self.width / LANES * LANES;
            for column in (0..whole).step_by(LANES) {
                let queries = queries.map(|query| f32::eight(query.add(column)));
                for (index, key) in keys.into_iter().enumerate() {
                    add(queries, T::eight(key.add(column)), index, &mut lanes);
                }
            }
            let rest = self.width - whole;
            if rest > 0 {
                let queries = queries.map(|query| end(query.add(whole), rest));
                for (index, key) in keys.into_iter().enumerate() {
                    add(queries, end(key.add(whole), rest), index, &mut lanes);
                }
            }
        }
        lanes
    }
}

/// Adds the products of eight elements of all queries and of key `index`. Key by key: the queries'
/// elements, one key's and the lanes of a tile are all that registers hold.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add<const Q: usize>(queries: [__m256; Q], key: __m256, index: usize, lanes: &mut Lanes<Q>) {
    for (lanes, query) in lanes.iter_mut().zip(queries) {
        lanes[index] = _mm256_fmadd_ps(query, key, lanes[index]);
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn scores(
    queries: Queries<'_>,
    keys: KvRows<'_>,
    count: usize,
    out: &mut [f32],
    out_stride: usize,
) {
    if let KvRows::Q8 { codes, scales, stride, block: crosswise::BLOCK } = keys
        && crosswise::is_worthwhile(queries)
    {
        let keys = crosswise::Keys { codes, scales, stride };
        // SAFETY: the machine has the features; `Kernels::scores` checked queries, keys and blocks.
        return unsafe { crosswise::scores(queries, keys, count, out, out_stride) };
    }
    let out = Out { scores: out, stride: out_stride, queries: queries.len(), keys: count };
    // SAFETY: the machine has the features; `Kernels::scores` checked queries, keys and blocks.
    unsafe {
        match keys {
            KvRows::F32 { data, stride } => fill(floats(queries, data, stride), out),
            KvRows::F16 { data, stride } if is_worth_widening(queries) => {
                fill_widened(queries, data, stride, out);
            }
            KvRows::F16 { data, stride } => fill(floats(queries, data, stride), out),
            KvRows::Q8 { codes, scales, stride, block } => match block {
                32 => fill(Codes::<Q8<32>, 1>::new(queries, codes, scales, stride), out),
                16 => fill(Codes::<Q8<16>, 2>::new(queries, codes, scales, stride), out),
                _ => fill(Codes::<Q8<8>, 4>::new(queries, codes, scales, stride), out),
            },
            KvRows::Q4 { codes, scales, stride, block } => match block {
                32 => fill(Codes::<Q4<32>, 2>::new(queries, codes, scales, stride), out),
                16 => fill(Codes::<Q4<16>, 4>::new(queries, codes, scales, stride), out),
                _ => fill(Codes::<Q4<8>, 8>::new(queries, codes, scales, stride), out),
            },
        }
    }
}

fn floats<'a, T>(queries: Queries<'a>, keys: &'a [T], stride: usize) -> Floats<'a, T> {
    Floats { queries: queries.floats, keys, stride, width: queries.width }
}

/// Elements of keys for which widening pays, measured on Zen 3: of latents. For shorter ones it
/// takes more than it saves, and of longer ones four do not stay in the first cache with queries.
const WIDENED: RangeInclusive<usize> = 256..=WIDEST;
const WIDEST: usize = 1024;

/// Whether widening keys pays: once for all queries, a product takes 1.6 instructions of a loop
/// where it takes 2.3 with a conversion for every two of them.
fn is_worth_widening(queries: Queries<'_>) -> bool {
    queries.len() > 4 && WIDENED.contains(&queries.width)
}

/// The scores of keys that become floats four at a time.
///
/// # Safety
/// The machine has AVX2, FMA and F16C; there are as many queries and keys as `out` says, and they
/// are [worth widening](is_worth_widening).
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn fill_widened(queries: Queries<'_>, data: &[f16], stride: usize, out: Out<'_>) {
    let mut room = [MaybeUninit::uninit(); KEYS * WIDEST / LANES];
    let width = queries.width;
    let vectors = width.div_ceil(LANES);
    for first in (0..out.keys).step_by(KEYS) {
        let keys = KEYS.min(out.keys - first);
        for (key, row) in room.chunks_exact_mut(vectors).take(keys).enumerate() {
            // SAFETY: there is such a key, of `width` elements.
            unsafe { widen(&data[(first + key) * stride..][..width], row) };
            let next = data.as_ptr().wrapping_add((first + key + KEYS) * stride);
            ask_for::<_MM_HINT_T0>(next.cast(), (width * size_of::<f16>()).div_ceil(LINE));
        }
        // SAFETY: so many were just written, and a vector is eight floats.
        let wide = unsafe {
            std::slice::from_raw_parts(room.as_ptr().cast::<f32>(), keys * vectors * LANES)
        };
        let scores = &mut out.scores[first..];
        let own = Out { scores, stride: out.stride, queries: out.queries, keys };
        // SAFETY: these are so many keys.
        unsafe { fill(floats(queries, wide, vectors * LANES), own) };
    }
}

/// A key as vectors of floats, with zeros behind it.
///
/// # Safety
/// The machine has AVX2, FMA and F16C.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn widen(key: &[f16], vectors: &mut [MaybeUninit<__m256>]) {
    for (vector, key) in vectors.iter_mut().zip(key.chunks(LANES)) {
        // SAFETY: there are as many elements.
        vector.write(unsafe {
            if key.len() == LANES { f16::eight(key.as_ptr()) } else { end(key.as_ptr(), key.len()) }
        });
    }
}

/// Where scores go: `scores[q * stride + k]`.
struct Out<'a> {
    scores: &'a mut [f32],
    stride: usize,
    queries: usize,
    keys: usize,
}

/// All scores.
///
/// # Safety
/// The machine has AVX2, FMA and F16C; there are as many queries and keys as `out` says.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn fill<P: Pairs>(pairs: P, mut out: Out<'_>) {
    for key in (0..out.keys).step_by(KEYS) {
        let mut query = 0;
        while query < out.queries {
            // Four queries are two and two: the chains of a single one would wait for additions.
            let tile = match out.queries - query {
                4 => 2,
                left => left.min(P::QUERIES),
            };
            // SAFETY: there are so many queries from `query` on, and there is a key.
            unsafe {
                match tile {
                    1 => fill_tile::<1>(&pairs, query, key, &mut out),
                    2 => fill_tile::<2>(&pairs, query, key, &mut out),
                    _ => fill_tile::<3>(&pairs, query, key, &mut out),
                }
            }
            query += tile;
        }
    }
}

/// The scores of `Q` queries from `query` on with up to four keys from `key` on.
///
/// # Safety
/// The machine has AVX2, FMA and F16C; `query + Q <= out.queries` and `key < out.keys`, and there
/// are as many.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn fill_tile<const Q: usize>(
    pairs: &impl Pairs,
    query: usize,
    key: usize,
    out: &mut Out<'_>,
) {
    let last = out.keys - 1;
    // Behind the last key comes the last key, whose scores are not kept.
    let keys = [key, last.min(key + 1), last.min(key + 2), last.min(key + 3)];
    // SAFETY: the queries and keys are there.
    let lanes = unsafe { pairs.lanes::<Q>(query, keys) };
    let count = KEYS.min(out.keys - key);
    let mut keep = |index: usize, sums| {
        let scores = &mut out.scores[(query + index) * out.stride + key..][..count];
        store(sums, scores);
    };
    let (pairs, single) = lanes.as_chunks();
    for (index, [a, b]) in pairs.iter().enumerate() {
        let [a, b] = sum_pair(a, b);
        keep(2 * index, a);
        keep(2 * index + 1, b);
    }
    if let [lanes] = single {
        keep(Q - 1, sum(lanes));
    }
}

/// The sums of the lanes of four vectors, each in the order of the scalar table.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sum(vectors: &[__m256; KEYS]) -> __m128 {
    let [a, b, c, d] =
        vectors.map(|v| _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v)));
    let ab = _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
    let cd = _mm_add_ps(_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
    _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab))
}

/// The same of twice four vectors.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sum_pair(first: &[__m256; KEYS], second: &[__m256; KEYS]) -> [__m128; 2] {
    let mut halves = [_mm256_setzero_ps(); KEYS];
    for ((half, &first), &second) in halves.iter_mut().zip(first).zip(second) {
        let low = _mm256_permute2f128_ps::<0x20>(first, second);
        let high = _mm256_permute2f128_ps::<0x31>(first, second);
        *half = _mm256_add_ps(low, high);
    }
    let [a, b, c, d] = halves;
    let ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    let cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    let low = _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd);
    let high = _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd);
    let sums = _mm256_add_ps(low, high);
    [_mm256_castps256_ps128(sums), _mm256_extractf128_ps::<1>(sums)]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn store(sums: __m128, out: &mut [f32]) {
    if let Some(out) = out.first_chunk_mut::<KEYS>() {
        // SAFETY: 16 bytes are writable; the store needs no alignment.
        return unsafe { _mm_storeu_ps(out.as_mut_ptr(), sums) };
    }
    let mut all = [0.0; KEYS];
    // SAFETY: as above.
    unsafe { _mm_storeu_ps(all.as_mut_ptr(), sums) };
    out.copy_from_slice(&all[..out.len()]);
}
