//! Codes of a block.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use edgeformer_core::quant::CODE_BOOK;

use super::products::{Dot, Dots, Pairs, Products, Signs};
use crate::kernels::packed::LINE;
use crate::kernels::x86::avx2::vector::load_16_bytes;

/// Codes of a block for eight rows: vector `s` has columns `4s..4s + 4` of each row.
pub(super) type Codes = [__m256i; 8];

/// How codes are stored.
pub(super) trait Bits {
    /// Lines of a block.
    const LINES: usize;
    /// How they are multiplied.
    type Products: Products;

    /// The codes of a block, of the first or the last eight rows.
    ///
    /// # Safety
    /// The machine has AVX2, FMA and F16C; `block` points to `LINES` lines; `half` is below two.
    unsafe fn codes(block: *const u8, half: usize) -> Codes;
}

/// Half a line.
///
/// # Safety
/// There is such a line, and `half` is below two.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn line(block: *const u8, index: usize, half: usize) -> __m256i {
    // SAFETY: half a line is 32 bytes within the block.
    unsafe { _mm256_loadu_si256(block.add(index * LINE + half * LINE / 2).cast()) }
}

/// Unsigned codes of 4 bits.
pub(super) struct Four;

impl Bits for Four {
    const LINES: usize = 4;
    type Products = Pairs<8>;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn codes(block: *const u8, half: usize) -> Codes {
        let low = _mm256_set1_epi8(15);
        let mut codes = [low; 8];
        for i in 0..4 {
            // SAFETY: there are four lines.
            let packed = unsafe { line(block, i, half) };
            codes[i] = _mm256_and_si256(packed, low);
            codes[i + 4] = _mm256_and_si256(_mm256_srli_epi16::<4>(packed), low);
        }
        codes
    }
}

/// Unsigned codes of 5 bits.
pub(super) struct Five;

impl Bits for Five {
    const LINES: usize = 5;
    type Products = Pairs<4>;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn codes(block: *const u8, half: usize) -> Codes {
        // SAFETY: there are five lines.
        let (mut codes, high) = unsafe { (Four::codes(block, half), line(block, 4, half)) };
        // Bits that are shifted from byte to byte are masked away.
        let shifted = [
            _mm256_slli_epi16::<4>(high),
            _mm256_slli_epi16::<3>(high),
            _mm256_slli_epi16::<2>(high),
            _mm256_slli_epi16::<1>(high),
            high,
            _mm256_srli_epi16::<1>(high),
            _mm256_srli_epi16::<2>(high),
            _mm256_srli_epi16::<3>(high),
        ];
        let bit = _mm256_set1_epi8(0x10);
        for (codes, high) in codes.iter_mut().zip(shifted) {
            *codes = _mm256_or_si256(*codes, _mm256_and_si256(high, bit));
        }
        codes
    }
}

/// Unsigned codes of 6 bits.
pub(super) struct Six;

impl Bits for Six {
    const LINES: usize = 6;
    type Products = Pairs<2>;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn codes(block: *const u8, half: usize) -> Codes {
        // SAFETY: there are six lines.
        let (mut codes, [a, b]) =
            unsafe { (Four::codes(block, half), [line(block, 4, half), line(block, 5, half)]) };
        // Bits that are shifted from byte to byte are masked away.
        let spread = |high| {
            [
                _mm256_slli_epi16::<4>(high),
                _mm256_slli_epi16::<2>(high),
                high,
                _mm256_srli_epi16::<2>(high),
            ]
        };
        let bits = _mm256_set1_epi8(0x30);
        let shifted = spread(a).into_iter().chain(spread(b));
        for (codes, high) in codes.iter_mut().zip(shifted) {
            *codes = _mm256_or_si256(*codes, _mm256_and_si256(high, bits));
        }
        codes
    }
}

/// Signed codes of 8 bits.
pub(super) struct Eight;

impl Bits for Eight {
    const LINES: usize = 8;
    type Products = Signs;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn codes(block: *const u8, half: usize) -> Codes {
        let mut codes = [_mm256_setzero_si256(); 8];
        for (s, codes) in codes.iter_mut().enumerate() {
            // SAFETY: there are eight lines.
            *codes = unsafe { line(block, s, half) };
        }
        codes
    }
}

/// Codes of 4 bits that look up the IQ4 code book.
pub(super) struct Book;

impl Bits for Book {
    const LINES: usize = 4;
    type Products = Signs;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn codes(block: *const u8, half: usize) -> Codes {
        let book = CODE_BOOK.map(i8::cast_unsigned);
        let book = _mm256_broadcastsi128_si256(load_16_bytes(&book));
        // SAFETY: there are four lines.
        let mut codes = unsafe { Four::codes(block, half) };
        for codes in &mut codes {
            *codes = _mm256_shuffle_epi8(book, *codes);
        }
        codes
    }
}

/// The same codes for the instruction `D`: signed ones are 128 above what they stand for.
pub(super) struct Unsigned<B, D>(PhantomData<(B, D)>);

impl<B: Bits, D: Dot> Bits for Unsigned<B, D> {
    const LINES: usize = B::LINES;
    type Products = Dots<D>;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn codes(block: *const u8, half: usize) -> Codes {
        // SAFETY: as the caller says.
        let mut codes = unsafe { B::codes(block, half) };
        if B::Products::SIGNED {
            for codes in &mut codes {
                *codes = _mm256_xor_si256(*codes, _mm256_set1_epi8(i8::MIN));
            }
        }
        codes
    }
}
