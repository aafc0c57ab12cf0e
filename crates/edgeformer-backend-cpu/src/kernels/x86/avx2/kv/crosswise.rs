//! Products of several queries with 8-bit keys, eight keys side by side.
//!
//! Eight keys are turned once for all queries: lane `k` of a vector is four neighbouring codes of
//! key `k`. So scores come out side by side, and nothing is added up across a vector. The
//! operations of each score and their order are those of [`codes`](super::codes), which serves
//! single queries: the eight lanes that add up over the row are eight vectors here.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use half::f16;

use super::super::vector::{LANES, store_some};
use crate::kernels::Queries;

/// Elements under one scale.
pub(super) const BLOCK: usize = 32;
/// The longest rows that are turned, in blocks: as much as stays in the first cache.
const MOST: usize = 32;

/// A block of eight keys.
#[derive(Clone, Copy)]
struct Part {
    codes: [__m256i; LANES],
    /// The codes' magnitudes.
    sizes: [__m256i; LANES],
    scales: __m256,
}

/// Keys in blocks of [`BLOCK`], rows of `stride` elements.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    pub codes: &'a [i8],
    pub scales: &'a [f16],
    pub stride: usize,
}

/// Whether turning the keys pays, and there is room for it.
pub(super) fn is_worthwhile(queries: Queries<'_>) -> bool {
    queries.len() > 1 && queries.width <= MOST * BLOCK
}

/// `out[q * out_stride + k]` = query `q` times key `k`.
///
/// # Safety
/// The machine has AVX2, FMA and F16C. There are `count` keys as wide as the queries, which are in
/// whole blocks and [worthwhile](is_worthwhile).
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn scores(
    queries: Queries<'_>,
    keys: Keys<'_>,
    count: usize,
    out: &mut [f32],
    out_stride: usize,
) {
    let mut room = [MaybeUninit::uninit(); MOST];
    let blocks = queries.width / BLOCK;
    for first in (0..count).step_by(LANES) {
        for (block, part) in room[..blocks].iter_mut().enumerate() {
            // Behind the last key comes the last key, whose scores are not kept.
            let rows = std::array::from_fn(|key| (first + key).min(count - 1));
            // SAFETY: the keys have the block.
            part.write(unsafe { turn(keys, rows, block) });
        }
        // SAFETY: as many were just written.
        let parts = unsafe { room[..blocks].assume_init_ref() };
        let kept = LANES.min(count - first);
        let rows = queries.codes.chunks_exact(queries.width);
        for (query, (codes, scales)) in rows.zip(queries.scales.chunks_exact(blocks)).enumerate() {
            store_some(
                multiply(codes, scales, parts),
                &mut out[query * out_stride + first..][..kept],
            );
        }
    }
}

/// A query times eight keys.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply(codes: &[i8], scales: &[f32], keys: &[Part]) -> __m256 {
    let ones = _mm256_set1_epi16(1);
    let mut lanes = [_mm256_setzero_ps(); LANES];
    for ((codes, &scale), keys) in codes.as_chunks::<BLOCK>().0.iter().zip(scales).zip(keys) {
        let scale = _mm256_mul_ps(_mm256_set1_ps(scale), keys.scales);
        for (lane, four) in codes.as_chunks::<4>().0.iter().enumerate() {
            let query = _mm256_set1_epi32(i32::from_ne_bytes(four.map(i8::cast_unsigned)));
            // Two products are at most 2 * 128 * 127: below 2^15, where sums would saturate.
            let signed = _mm256_sign_epi8(query, keys.codes[lane]);
            let pairs = _mm256_maddubs_epi16(keys.sizes[lane], signed);
            let product = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, ones));
            lanes[lane] = _mm256_fmadd_ps(product, scale, lanes[lane]);
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    let even = _mm256_add_ps(_mm256_add_ps(a, e), _mm256_add_ps(c, g));
    let odd = _mm256_add_ps(_mm256_add_ps(b, f), _mm256_add_ps(d, h));
    _mm256_add_ps(even, odd)
}

/// A block of eight keys, turned.
///
/// # Safety
/// The machine has AVX2, FMA and F16C; there are such keys, and they have the block.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn turn(keys: Keys<'_>, rows: [usize; LANES], block: usize) -> Part {
    let mut vectors = [_mm256_setzero_si256(); LANES];
    let mut scales = [0i16; LANES];
    for ((vector, scale), row) in vectors.iter_mut().zip(&mut scales).zip(rows) {
        let at = row * keys.stride + block * BLOCK;
        // SAFETY: the key has 32 codes from here on, and their scale; no alignment is needed.
        unsafe {
            *vector = _mm256_loadu_si256(keys.codes.as_ptr().add(at).cast());
            *scale = keys.scales.get_unchecked(at / BLOCK).to_bits().cast_signed();
        }
    }
    let codes = transposed(vectors);
    let [a, b, c, d, e, f, g, h] = scales;
    Part {
        codes,
        sizes: codes.map(|codes| _mm256_abs_epi8(codes)),
        scales: _mm256_cvtph_ps(_mm_setr_epi16(a, b, c, d, e, f, g, h)),
    }
}

/// Eight vectors of eight lanes, turned: lane `i` of vector `k` becomes lane `k` of vector `i`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn transposed([a, b, c, d, e, f, g, h]: [__m256i; LANES]) -> [__m256i; LANES] {
    let pairs = |a, b| [_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b)];
    let quads = |[a, b]: [__m256i; 2], [c, d]: [__m256i; 2]| {
        [
            _mm256_unpacklo_epi64(a, c),
            _mm256_unpackhi_epi64(a, c),
            _mm256_unpacklo_epi64(b, d),
            _mm256_unpackhi_epi64(b, d),
        ]
    };
    let first = quads(pairs(a, b), pairs(c, d));
    let second = quads(pairs(e, f), pairs(g, h));
    let mut turned = [_mm256_setzero_si256(); LANES];
    for (lane, (first, second)) in first.into_iter().zip(second).enumerate() {
        turned[lane] = _mm256_permute2x128_si256::<0x20>(first, second);
        turned[lane + 4] = _mm256_permute2x128_si256::<0x31>(first, second);
    }
    turned
}
