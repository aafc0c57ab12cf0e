//! Scales and minima of a block.

use std::arch::x86_64::*;

/// The scales of a block, a lane a row.
#[derive(Clone, Copy)]
pub(super) struct Scales {
    /// Of the first and the last 16 columns; equal for formats with one scale a block.
    pub halves: [__m512; 2],
    /// What the sum of the activations is multiplied with, for formats with minima.
    pub plus: __m512,
}

/// How scales are stored.
pub(super) trait Scaling {
    /// Bytes of the scales of eight blocks, whole lines.
    const BYTES: usize;
    /// Whether a block has two scales.
    const HALVES: bool = false;
    /// Whether there are minima.
    const MINIMA: bool = false;

    /// The scales of block `index` of a group.
    ///
    /// # Safety
    /// The machine has AVX-512 F, BW and VNNI; `scales` points to the scales of a group that has
    /// such a block.
    unsafe fn scales(scales: *const u8, index: usize) -> Scales;
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn symmetric(halves: [__m512; 2]) -> Scales {
    Scales { halves, plus: _mm512_setzero_ps() }
}

/// An f16 scale a block.
pub(super) struct OneScale;

impl Scaling for OneScale {
    const BYTES: usize = 256;
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn scales(scales: *const u8, index: usize) -> Scales {
        // SAFETY: every block has sixteen scales.
        symmetric([unsafe { halves(scales, 32 * index) }; 2])
    }
}

/// An f16 scale and an f16 minimum a block.
pub(super) struct ScaleAndMinimum;

impl Scaling for ScaleAndMinimum {
    const BYTES: usize = 512;
    const MINIMA: bool = true;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn scales(scales: *const u8, index: usize) -> Scales {
        // SAFETY: every block has sixteen scales and sixteen minima.
        let (scale, plus) =
            unsafe { (halves(scales, 64 * index), halves(scales, 64 * index + 32)) };
        Scales { halves: [scale; 2], plus }
    }
}

/// The 6-bit scales and minima of Q4_K and Q5_K.
pub(super) struct SuperBlock;

impl Scaling for SuperBlock {
    const BYTES: usize = 320;
    const MINIMA: bool = true;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn scales(scales: *const u8, index: usize) -> Scales {
        let block = 64 + index * 32;
        // SAFETY: a group begins with two times sixteen f16 numbers, then every block two times
        // sixteen bytes.
        unsafe {
            let scale = _mm512_mul_ps(halves(scales, 0), unsigned(scales, block));
            let shared = halves(scales, 32);
            let minimum = _mm512_mul_ps(shared, unsigned(scales, block + 16));
            Scales { halves: [scale; 2], plus: _mm512_sub_ps(_mm512_set1_ps(-0.0), minimum) }
        }
    }
}

/// The 8-bit scales of Q6_K, one for 16 columns.
pub(super) struct Sixteenths;

impl Scaling for Sixteenths {
    const BYTES: usize = 320;
    const HALVES: bool = true;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn scales(scales: *const u8, index: usize) -> Scales {
        let block = 32 + index * 32;
        // SAFETY: a group begins with sixteen f16 numbers, then every block two times sixteen
        // bytes.
        unsafe {
            let shared = halves(scales, 0);
            symmetric([
                _mm512_mul_ps(shared, signed(scales, block)),
                _mm512_mul_ps(shared, signed(scales, block + 16)),
            ])
        }
    }
}

/// The 6-bit scales of IQ4_XS.
pub(super) struct Book256;

impl Scaling for Book256 {
    const BYTES: usize = 192;
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn scales(scales: *const u8, index: usize) -> Scales {
        let block = 32 + index * 16;
        // SAFETY: a group begins with sixteen f16 numbers, then every block sixteen bytes.
        let scale = unsafe { _mm512_mul_ps(halves(scales, 0), signed(scales, block)) };
        symmetric([scale; 2])
    }
}

/// The sixteen f16 numbers at an offset.
///
/// # Safety
/// There are sixteen.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn halves(scales: *const u8, offset: usize) -> __m512 {
    // SAFETY: 32 bytes are readable there; no alignment is needed.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(scales.add(offset).cast()) })
}

/// The sixteen unsigned bytes at an offset.
///
/// # Safety
/// There are sixteen.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn unsigned(scales: *const u8, offset: usize) -> __m512 {
    // SAFETY: 16 bytes are readable there; no alignment is needed.
    let bytes = unsafe { _mm_loadu_si128(scales.add(offset).cast()) };
    _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))
}

/// The sixteen signed bytes at an offset.
///
/// # Safety
/// There are sixteen.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn signed(scales: *const u8, offset: usize) -> __m512 {
    // SAFETY: 16 bytes are readable there; no alignment is needed.
    let bytes = unsafe { _mm_loadu_si128(scales.add(offset).cast()) };
    _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))
}
