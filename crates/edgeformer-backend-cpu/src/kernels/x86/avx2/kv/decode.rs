//! Rows of every format as vectors of floats. A scale of 11 bits times a code of 8 is exact in
//! f32, so a decoded element is exactly what the row stands for.

use std::arch::x86_64::*;

use half::f16;

use super::super::vector::{self, LANES, padded, store};
use crate::kernels::kv::KvRows;

/// Vectors of the part of a row that is decoded at a time: as many as a long block has.
pub(super) const WIDE: usize = 4;

/// Rows that can be decoded. Blocks start at multiples of their length from the first element.
pub(super) trait Decode: Copy {
    /// Eight elements of a row, from a column on that is a multiple of eight.
    ///
    /// # Safety
    /// The machine has AVX2, FMA and F16C, and the rows have these elements; so for all below.
    unsafe fn vector(self, row: usize, column: usize) -> __m256;

    /// 32 elements, from a column on that is a multiple of 32.
    ///
    /// # Safety
    /// See [`Decode::vector`].
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn wide(self, row: usize, column: usize) -> [__m256; WIDE] {
        // SAFETY: the rows have the elements.
        unsafe {
            [
                self.vector(row, column),
                self.vector(row, column + LANES),
                self.vector(row, column + 2 * LANES),
                self.vector(row, column + 3 * LANES),
            ]
        }
    }

    /// `len` elements, fewer than eight, with zeros behind them. Quantized rows have no such ends.
    ///
    /// # Safety
    /// See [`Decode::vector`].
    #[inline]
    unsafe fn end(self, _row: usize, _column: usize, _len: usize) -> __m256 {
        unreachable!("blocks are whole vectors")
    }
}

/// A float as it is stored.
pub(super) trait Element: Copy + Default {
    /// Queries that meet keys of this type at a time, at most three. Measured on Zen 3: where keys
    /// have to be widened two are faster, by a tenth for short rows and by a half for long ones.
    const QUERIES: usize;

    /// Eight neighbours.
    ///
    /// # Safety
    /// The machine has AVX2, FMA and F16C; eight elements are readable.
    unsafe fn eight(from: *const Self) -> __m256;
}

impl Element for f32 {
    const QUERIES: usize = 3;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn eight(from: *const Self) -> __m256 {
        // SAFETY: 32 bytes are readable; no alignment is needed.
        unsafe { _mm256_loadu_ps(from) }
    }
}

impl Element for f16 {
    const QUERIES: usize = 2;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn eight(from: *const Self) -> __m256 {
        // SAFETY: 16 bytes are readable (`f16` is a transparent `u16`); no alignment is needed.
        _mm256_cvtph_ps(unsafe { _mm_loadu_si128(from.cast()) })
    }
}

/// `len` elements, fewer than eight, with zeros behind them.
///
/// # Safety
/// The machine has AVX2, FMA and F16C; as many elements are readable.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn end<T: Element>(from: *const T, len: usize) -> __m256 {
    // SAFETY: `len` elements are readable, and then eight are.
    unsafe { T::eight(padded(std::slice::from_raw_parts(from, len)).as_ptr()) }
}

/// Rows of floats.
#[derive(Clone, Copy)]
pub(super) struct Floats<'a, T> {
    pub data: &'a [T],
    pub stride: usize,
}

impl<T: Element> Decode for Floats<'_, T> {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn vector(self, row: usize, column: usize) -> __m256 {
        // SAFETY: the rows have the elements.
        unsafe { T::eight(self.data.as_ptr().add(row * self.stride + column)) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn end(self, row: usize, column: usize, len: usize) -> __m256 {
        // SAFETY: the rows have the elements.
        unsafe { end(self.data.as_ptr().add(row * self.stride + column), len) }
    }
}

/// Rows of 8-bit codes.
#[derive(Clone, Copy)]
pub(super) struct Q8<'a, const BLOCK: usize> {
    pub codes: &'a [i8],
    pub scales: &'a [f16],
    pub stride: usize,
}

impl<const BLOCK: usize> Decode for Q8<'_, BLOCK> {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn vector(self, row: usize, column: usize) -> __m256 {
        let at = row * self.stride + column;
        // SAFETY: the rows have eight codes from here on, and the scale of their block.
        let (codes, scale) = unsafe {
            (_mm_loadl_epi64(self.codes.as_ptr().add(at).cast()), scale(self.scales, at / BLOCK))
        };
        _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)), scale)
    }
}

/// Rows of 4-bit codes.
#[derive(Clone, Copy)]
pub(super) struct Q4<'a, const BLOCK: usize> {
    pub codes: &'a [u8],
    pub scales: &'a [f16],
    pub stride: usize,
}

impl<const BLOCK: usize> Decode for Q4<'_, BLOCK> {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn vector(self, row: usize, column: usize) -> __m256 {
        let at = row * self.stride + column;
        let (block, half) = (at / BLOCK, BLOCK / 2);
        // SAFETY: the rows have the block, of `half` bytes, and its scale.
        let (bytes, scale) =
            unsafe { (self.codes.as_ptr().add(block * half), scale(self.scales, block)) };
        if BLOCK == LANES {
            // SAFETY: a block of eight elements has four bytes.
            let four = _mm256_set1_epi32(unsafe { bytes.cast::<i32>().read_unaligned() });
            let places = _mm256_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28);
            return scaled(_mm256_srlv_epi32(four, places), scale);
        }
        // SAFETY: `at % half` is a multiple of eight below `half`: eight bytes are left.
        let eight = unsafe { _mm_loadl_epi64(bytes.add(at % half).cast()) };
        let shift = _mm_cvtsi32_si128(if at % BLOCK < half { 0 } else { 4 });
        scaled(_mm256_srl_epi32(_mm256_cvtepu8_epi32(eight), shift), scale)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn wide(self, row: usize, column: usize) -> [__m256; WIDE] {
        let at = row * self.stride + column;
        let bytes = self.codes.as_ptr();
        // SAFETY: the rows have these 32 elements, which are 16 bytes and whole blocks.
        unsafe {
            match BLOCK {
                32 => {
                    let scale = scale(self.scales, at / BLOCK);
                    let [a, c] = halves(bytes.add(at / 2), scale);
                    let [b, d] = halves(bytes.add(at / 2 + LANES), scale);
                    [a, b, c, d]
                }
                16 => {
                    let [a, b] = halves(bytes.add(at / 2), scale(self.scales, at / BLOCK));
                    let next = scale(self.scales, at / BLOCK + 1);
                    let [c, d] = halves(bytes.add(at / 2 + LANES), next);
                    [a, b, c, d]
                }
                _ => {
                    let mut vectors = [_mm256_setzero_ps(); WIDE];
                    for (index, vector) in vectors.iter_mut().enumerate() {
                        *vector = self.vector(row, column + index * LANES);
                    }
                    vectors
                }
            }
        }
    }
}

/// The elements in the low and in the high halves of eight bytes.
///
/// # Safety
/// The machine has AVX2, FMA and F16C; eight bytes are readable.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn halves(bytes: *const u8, scale: __m256) -> [__m256; 2] {
    // SAFETY: eight bytes are readable.
    let eight = _mm256_cvtepu8_epi32(unsafe { _mm_loadl_epi64(bytes.cast()) });
    [scaled(eight, scale), scaled(_mm256_srli_epi32::<4>(eight), scale)]
}

/// What the codes in the four low bits stand for.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn scaled(codes: __m256i, scale: __m256) -> __m256 {
    let codes = _mm256_sub_epi32(
        _mm256_and_si256(codes, _mm256_set1_epi32(15)),
        _mm256_set1_epi32(crate::kernels::kv::Q4_ZERO),
    );
    _mm256_mul_ps(_mm256_cvtepi32_ps(codes), scale)
}

/// A scale in all lanes.
///
/// # Safety
/// The machine has AVX2, FMA and F16C; there is such a scale.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn scale(scales: &[f16], index: usize) -> __m256 {
    debug_assert!(index < scales.len());
    // SAFETY: the scale is there.
    let bits = unsafe { scales.get_unchecked(index) }.to_bits();
    _mm256_cvtph_ps(_mm_set1_epi16(bits.cast_signed()))
}

/// What is done with rows, whatever their format.
pub(super) trait Task {
    /// # Safety
    /// The machine has AVX2, FMA and F16C, and the rows what the task asks for.
    unsafe fn run<R: Decode>(self, rows: R);
}

/// Does it with these rows.
///
/// # Safety
/// See [`Task::run`]; blocks are whole, of 8, 16 or 32 elements.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn with_rows(rows: KvRows<'_>, task: impl Task) {
    // SAFETY: the caller's.
    unsafe {
        match rows {
            KvRows::F32 { data, stride } => task.run(Floats { data, stride }),
            KvRows::F16 { data, stride } => task.run(Floats { data, stride }),
            KvRows::Q8 { codes, scales, stride, block: 32 } => {
                task.run(Q8::<32> { codes, scales, stride });
            }
            KvRows::Q8 { codes, scales, stride, block: 16 } => {
                task.run(Q8::<16> { codes, scales, stride });
            }
            KvRows::Q8 { codes, scales, stride, .. } => {
                task.run(Q8::<8> { codes, scales, stride });
            }
            KvRows::Q4 { codes, scales, stride, block: 32 } => {
                task.run(Q4::<32> { codes, scales, stride });
            }
            KvRows::Q4 { codes, scales, stride, block: 16 } => {
                task.run(Q4::<16> { codes, scales, stride });
            }
            KvRows::Q4 { codes, scales, stride, .. } => {
                task.run(Q4::<8> { codes, scales, stride });
            }
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn decode_rows(rows: KvRows<'_>, width: usize, out: &mut [f32]) {
    // SAFETY: the machine has the features; `Kernels::decode_rows` checked the blocks, and that
    // there are as many rows as `out` has.
    unsafe { with_rows(rows, DecodeRows { width, out }) }
}

/// `out` is rows of `width`, and there are as many to decode.
struct DecodeRows<'a> {
    width: usize,
    out: &'a mut [f32],
}

impl Task for DecodeRows<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn run<R: Decode>(self, rows: R) {
        for (row, out) in self.out.chunks_exact_mut(self.width).enumerate() {
            let (wide, rest) = out.as_chunks_mut::<{ WIDE * LANES }>();
            for (index, out) in wide.iter_mut().enumerate() {
                // SAFETY: the row is as long as `out`.
                let vectors = unsafe { rows.wide(row, index * WIDE * LANES) };
                for (vector, out) in vectors.into_iter().zip(out.as_chunks_mut().0) {
                    store(vector, out);
                }
            }
            let column = wide.len() * WIDE * LANES;
            for (index, out) in rest.chunks_mut(LANES).enumerate() {
                let column = column + index * LANES;
                // SAFETY: the row is as long as `out`.
                unsafe { vector::store_some(some(rows, row, column, out.len()), out) };
            }
        }
    }
}

/// `len` elements, up to eight, with zeros behind them.
///
/// # Safety
/// See [`Decode::vector`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn some<R: Decode>(rows: R, row: usize, column: usize, len: usize) -> __m256 {
    // SAFETY: the caller's.
    unsafe { if len < LANES { rows.end(row, column, len) } else { rows.vector(row, column) } }
}
