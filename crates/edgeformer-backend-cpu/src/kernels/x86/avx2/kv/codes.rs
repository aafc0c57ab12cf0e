//! Products of 8-bit queries with quantized keys.
//!
//! Keys are read in chunks of 32 bytes. Lane `l` of a chunk is bytes `4 l..4 l + 4`, all of one
//! block: the products of their codes with the query's are added as integers, exactly, and then
//! go to lane `l` of the score, times the scales of key and query.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use half::f16;

use super::scores::{KEYS, Lanes, Pairs};
use crate::kernels::Queries;
use crate::kernels::kv::Q4_ZERO;

/// Bytes of a chunk of keys.
const CHUNK: usize = 32;

/// A format of codes, in chunks.
pub(super) trait Chunks {
    /// Elements of a chunk.
    const ELEMENTS: usize;
    /// See [`Pairs::QUERIES`].
    const QUERIES: usize;
    /// A query's part, as keys are multiplied with it.
    type Query: Copy;
    /// A key's part, as queries are multiplied with it.
    type Key: Copy;

    /// Prepares a query's part of up to two vectors of codes.
    ///
    /// # Safety
    /// The machine has AVX2, FMA and F16C; so for all below.
    unsafe fn query(codes: [__m256i; 2]) -> Self::Query;

    /// Prepares a key's part.
    ///
    /// # Safety
    /// See [`Chunks::query`].
    unsafe fn key(bytes: __m256i) -> Self::Key;

    /// The sums of the products of each lane.
    ///
    /// # Safety
    /// See [`Chunks::query`].
    unsafe fn product(query: Self::Query, key: Self::Key) -> __m256i;
}

/// 8-bit keys in blocks.
pub(super) struct Q8<const BLOCK: usize>;

impl<const BLOCK: usize> Chunks for Q8<BLOCK> {
    const ELEMENTS: usize = CHUNK;
    const QUERIES: usize = 3;
    type Query = __m256i;
    type Key = __m256i;

    #[inline]
    unsafe fn query([codes, _]: [__m256i; 2]) -> __m256i {
        codes
    }

    #[inline]
    unsafe fn key(bytes: __m256i) -> __m256i {
        bytes
    }

    /// The signs of the key go to the query. Two products are at most 2 * 128 * 127, which is
    /// below 2^15, where sums would saturate.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn product(query: __m256i, key: __m256i) -> __m256i {
        let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(key), _mm256_sign_epi8(query, key));
        _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
    }
}

/// 4-bit keys in blocks.
pub(super) struct Q4<const BLOCK: usize>;

/// A query's part for 4-bit keys.
#[derive(Clone, Copy)]
pub(super) struct Halves {
    /// What meets the low halves of the bytes, and what the high ones.
    codes: [__m256i; 2],
    /// The product with keys of zeros, in pairs of bytes.
    zero: __m256i,
}

impl<const BLOCK: usize> Chunks for Q4<BLOCK> {
    const ELEMENTS: usize = 2 * CHUNK;
    const QUERIES: usize = 2;
    type Query = Halves;
    type Key = [__m256i; 2];

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn query([a, b]: [__m256i; 2]) -> Halves {
        // First halves of all blocks, and second halves, in order.
        let codes = match BLOCK {
            32 => {
                [_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b)]
            }
            16 => [_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b)]
                .map(|codes| _mm256_permute4x64_epi64::<0b11_01_10_00>(codes)),
            _ => {
                let (a, b) = (_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
                [_mm256_shuffle_ps::<0b10_00_10_00>(a, b), _mm256_shuffle_ps::<0b11_01_11_01>(a, b)]
                    .map(|codes| {
                        let codes = _mm256_castps_si256(codes);
                        _mm256_permute4x64_epi64::<0b11_01_10_00>(codes)
                    })
            }
        };
        let zeros = _mm256_set1_epi8(Q4_ZERO as i8);
        let [low, high] = codes.map(|codes| _mm256_maddubs_epi16(zeros, codes));
        Halves { codes, zero: _mm256_add_epi16(low, high) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn key(bytes: __m256i) -> [__m256i; 2] {
        let low = _mm256_set1_epi8(15);
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), low);
        [_mm256_and_si256(bytes, low), high]
    }

    /// Four products are at most 4 * 15 * 128, those with zeros 4 * 8 * 128: together below 2^15.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn product(query: Halves, [low, high]: [__m256i; 2]) -> __m256i {
        let low = _mm256_maddubs_epi16(low, query.codes[0]);
        let high = _mm256_maddubs_epi16(high, query.codes[1]);
        let fours = _mm256_sub_epi16(_mm256_add_epi16(low, high), query.zero);
        _mm256_madd_epi16(fours, _mm256_set1_epi16(1))
    }
}

/// Queries and keys in blocks, `SCALES` of which make a chunk.
pub(super) struct Codes<'a, F, const SCALES: usize> {
    queries: Queries<'a>,
    keys: *const u8,
    scales: &'a [f16],
    stride: usize,
    format: PhantomData<F>,
}

impl<'a, F: Chunks, const SCALES: usize> Codes<'a, F, SCALES> {
    /// Elements of a block.
    const BLOCK: usize = F::ELEMENTS / SCALES;
    /// Elements of a byte of keys.
    const IN_BYTE: usize = F::ELEMENTS / CHUNK;

    pub fn new<T>(queries: Queries<'a>, keys: &'a [T], scales: &'a [f16], stride: usize) -> Self {
        Self { queries, keys: keys.as_ptr().cast(), scales, stride, format: PhantomData }
    }

    /// Adds the products of a chunk to the lanes: of `len` elements from `column` on, which is all
    /// of it if `WHOLE`.
    ///
    /// # Safety
    /// The machine has AVX2, FMA and F16C; there are the queries and the keys and their elements,
    /// whole blocks.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn add<const Q: usize, const WHOLE: bool>(
        &self,
        query: usize,
        keys: [usize; KEYS],
        column: usize,
        len: usize,
        lanes: &mut Lanes<Q>,
    ) {
        let blocks = len / Self::BLOCK;
        // SAFETY: the caller's, for all in this block.
        unsafe {
            let mut queries = [(F::query([_mm256_setzero_si256(); 2]), _mm256_setzero_ps()); Q];
            for (index, part) in queries.iter_mut().enumerate() {
                let at = (query + index) * self.queries.width + column;
                let codes = self.queries.codes.as_ptr().add(at).cast();
                let codes = match F::ELEMENTS {
                    CHUNK => [bytes::<WHOLE>(codes, len), _mm256_setzero_si256()],
                    _ => both::<WHOLE>(codes, len),
                };
                let scales = self.queries.scales.as_ptr().add(at / Self::BLOCK);
                *part =
                    (F::query(codes), spread::<SCALES>(floats::<SCALES, WHOLE>(scales, blocks)));
            }
            for (index, key) in keys.into_iter().enumerate() {
                let at = key * self.stride + column;
                let codes = self.keys.add(at / Self::IN_BYTE);
                let part = F::key(bytes::<WHOLE>(codes, len / Self::IN_BYTE));
                let scales = self.scales.as_ptr().add(at / Self::BLOCK);
                let scales = spread::<SCALES>(halves::<SCALES, WHOLE>(scales, blocks));
                for (lanes, (query, of_query)) in lanes.iter_mut().zip(queries) {
                    let product = _mm256_cvtepi32_ps(F::product(query, part));
                    let scale = _mm256_mul_ps(of_query, scales);
                    lanes[index] = _mm256_fmadd_ps(product, scale, lanes[index]);
                }
            }
        }
    }
}

impl<F: Chunks, const SCALES: usize> Pairs for Codes<'_, F, SCALES> {
    const QUERIES: usize = F::QUERIES;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn lanes<const Q: usize>(&self, query: usize, keys: [usize; KEYS]) -> Lanes<Q> {
        let mut lanes = [[_mm256_setzero_ps(); KEYS]; Q];
        let width = self.queries.width;
        let whole = width / F::ELEMENTS * F::ELEMENTS;
        // SAFETY: the queries and keys are there, of `width` elements in whole blocks.
        unsafe {
            for column in (0..whole).step_by(F::ELEMENTS) {
                self.add::<Q, true>(query, keys, column, F::ELEMENTS, &mut lanes);
            }
            if whole < width {
                self.add::<Q, false>(query, keys, whole, width - whole, &mut lanes);
            }
        }
        lanes
    }
}

/// A vector of bytes, or the first `len`, a multiple of four, with zeros behind them.
///
/// # Safety
/// The machine has AVX2, FMA and F16C; as many bytes are readable.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn bytes<const WHOLE: bool>(from: *const u8, len: usize) -> __m256i {
    if WHOLE {
        // SAFETY: 32 bytes are readable; no alignment is needed.
        return unsafe { _mm256_loadu_si256(from.cast()) };
    }
    // SAFETY: what the mask leaves out is not touched.
    unsafe { _mm256_maskload_epi32(from.cast(), first(len / 4)) }
}

/// Two vectors of bytes, or the first `len`.
///
/// # Safety
/// See [`bytes`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn both<const WHOLE: bool>(from: *const u8, len: usize) -> [__m256i; 2] {
    // SAFETY: the caller's. Where nothing is left, nothing is touched.
    unsafe {
        let second = bytes::<WHOLE>(from.wrapping_add(CHUNK), len.saturating_sub(CHUNK));
        [bytes::<WHOLE>(from, len), second]
    }
}

/// A mask of the first `count` lanes, or of all if there are no more.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn first(count: usize) -> __m256i {
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), lanes)
}

/// The scales of a chunk, or the first `count`, in the first lanes.
///
/// # Safety
/// The machine has AVX2, FMA and F16C; as many are readable.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn floats<const SCALES: usize, const WHOLE: bool>(from: *const f32, count: usize) -> __m256 {
    let count = if WHOLE { SCALES } else { count };
    // SAFETY: what the mask leaves out is not touched.
    unsafe { _mm256_maskload_ps(from, first(count)) }
}

/// The same of f16 scales.
///
/// # Safety
/// See [`floats`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn halves<const SCALES: usize, const WHOLE: bool>(from: *const f16, count: usize) -> __m256 {
    // SAFETY: the scales are there; no alignment is needed.
    let halves = unsafe {
        match SCALES {
            1 => _mm_set1_epi16(from.cast::<i16>().read()),
            2 if WHOLE => _mm_cvtsi32_si128(from.cast::<i32>().read_unaligned()),
            4 if WHOLE => _mm_loadl_epi64(from.cast()),
            8 if WHOLE => _mm_loadu_si128(from.cast()),
            _ => few(std::slice::from_raw_parts(from, count)),
        }
    };
    _mm256_cvtph_ps(halves)
}

/// Fewer than eight halves, with zeros behind them.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn few(halves: &[f16]) -> __m128i {
    let bits = |bits: u64, half: &f16| bits << 16 | u64::from(half.to_bits());
    let (low, high) = halves.split_at(halves.len().min(4));
    let [low, high] = [low, high].map(|four| four.iter().rev().fold(0, bits));
    _mm_set_epi64x(high.cast_signed(), low.cast_signed())
}

/// The first `SCALES` lanes, each as often as it fits.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn spread<const SCALES: usize>(scales: __m256) -> __m256 {
    match SCALES {
        1 => _mm256_broadcastss_ps(_mm256_castps256_ps128(scales)),
        2 => _mm256_permutevar8x32_ps(scales, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1)),
        4 => _mm256_permutevar8x32_ps(scales, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3)),
        _ => scales,
    }
}
