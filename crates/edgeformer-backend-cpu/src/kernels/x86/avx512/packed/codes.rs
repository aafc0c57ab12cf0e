//! Codes of a block.

use std::arch::x86_64::*;

use edgeformer_core::quant::CODE_BOOK;

use crate::kernels::packed::LINE;

/// Codes of a block, unsigned: vector `s` has columns `4s..4s + 4` of each row.
pub(super) type Codes = [__m512i; 8];

/// How codes are stored.
pub(super) trait Bits {
    /// Lines of a block.
    const LINES: usize;

    /// The codes of a block. Signed ones are given plus 128.
    ///
    /// # Safety
    /// The machine has AVX-512 F, BW and VNNI; `block` points to `LINES` lines.
    unsafe fn codes(block: *const u8) -> Codes;
}

/// # Safety
/// There is such a line.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn line(block: *const u8, index: usize) -> __m512i {
    // SAFETY: a line is 64 bytes within the block.
    unsafe { _mm512_loadu_si512(block.add(index * LINE).cast()) }
}

/// Unsigned codes of 4 bits.
pub(super) struct Four;

impl Bits for Four {
    const LINES: usize = 4;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn codes(block: *const u8) -> Codes {
        let low = _mm512_set1_epi8(15);
        let mut codes = [low; 8];
        for i in 0..4 {
            // SAFETY: there are four lines.
            let packed = unsafe { line(block, i) };
            codes[i] = _mm512_and_si512(packed, low);
            codes[i + 4] = _mm512_and_si512(_mm512_srli_epi16::<4>(packed), low);
        }
        codes
    }
}

/// Unsigned codes of 5 bits.
pub(super) struct Five;

impl Bits for Five {
    const LINES: usize = 5;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn codes(block: *const u8) -> Codes {
        // SAFETY: there are five lines.
        let (mut codes, high) = unsafe { (Four::codes(block), line(block, 4)) };
        // Bits that are shifted from byte to byte are masked away.
        let shifted = [
            _mm512_slli_epi16::<4>(high),
            _mm512_slli_epi16::<3>(high),
            _mm512_slli_epi16::<2>(high),
            _mm512_slli_epi16::<1>(high),
            high,
            _mm512_srli_epi16::<1>(high),
            _mm512_srli_epi16::<2>(high),
            _mm512_srli_epi16::<3>(high),
        ];
        let bit = _mm512_set1_epi8(0x10);
        for (codes, high) in codes.iter_mut().zip(shifted) {
            *codes = _mm512_or_si512(*codes, _mm512_and_si512(high, bit));
        }
        codes
    }
}

/// Unsigned codes of 6 bits.
pub(super) struct Six;

impl Bits for Six {
    const LINES: usize = 6;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn codes(block: *const u8) -> Codes {
        // SAFETY: there are six lines.
        let (mut codes, high) = unsafe { (Four::codes(block), [line(block, 4), line(block, 5)]) };
        // Bits that are shifted from byte to byte are masked away.
        let shifted = high.map(|high| {
            [
                _mm512_slli_epi16::<4>(high),
                _mm512_slli_epi16::<2>(high),
                high,
                _mm512_srli_epi16::<2>(high),
            ]
        });
        let bits = _mm512_set1_epi8(0x30);
        for (codes, &high) in codes.iter_mut().zip(shifted.as_flattened()) {
            *codes = _mm512_or_si512(*codes, _mm512_and_si512(high, bits));
        }
        codes
    }
}

/// Signed codes to unsigned ones.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn plus_128(codes: __m512i) -> __m512i {
    _mm512_xor_si512(codes, _mm512_set1_epi8(-128))
}

/// Signed codes of 8 bits.
pub(super) struct Eight;

impl Bits for Eight {
    const LINES: usize = 8;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn codes(block: *const u8) -> Codes {
        let mut codes = [_mm512_setzero_si512(); 8];
        for (s, codes) in codes.iter_mut().enumerate() {
            // SAFETY: there are eight lines.
            *codes = plus_128(unsafe { line(block, s) });
        }
        codes
    }
}

/// Codes of 4 bits that look up the IQ4 code book.
pub(super) struct Book;

impl Bits for Book {
    const LINES: usize = 4;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn codes(block: *const u8) -> Codes {
        let book = CODE_BOOK.map(|code| code.cast_unsigned() ^ 0x80);
        // SAFETY: sixteen bytes are readable; the load needs no alignment.
        let book = _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(book.as_ptr().cast()) });
        // SAFETY: there are four lines.
        let mut codes = unsafe { Four::codes(block) };
        for codes in &mut codes {
            *codes = _mm512_shuffle_epi8(book, *codes);
        }
        codes
    }
}
