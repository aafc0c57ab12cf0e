//! Codes of a block.

use std::arch::aarch64::*;

use edgeformer_core::quant::CODE_BOOK;

use crate::kernels::packed::LINE;

/// Codes of a block for four rows: vector `[h][s]` has columns `16h + 4s..16h + 4s + 4` of each.
pub(in crate::kernels::aarch64) type Codes = [[int8x16_t; 4]; 2];

/// How codes are stored.
pub(in crate::kernels::aarch64) trait Bits {
    /// Lines of a block.
    const LINES: usize;
    /// How many steps of four columns can be added up in 16 bits: with codes up to `c`,
    /// `ADDS * 2 * c * 127` is below 2^15.
    const ADDS: usize;

    /// The codes of a block, of rows `4 * quarter..4 * quarter + 4`.
    ///
    /// # Safety
    /// `block` points to `LINES` lines; `quarter` is below four.
    unsafe fn codes(block: *const u8, quarter: usize) -> Codes;
}

/// A quarter of a line.
///
/// # Safety
/// There is such a line, and `quarter` is below four.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn line(block: *const u8, index: usize, quarter: usize) -> uint8x16_t {
    // SAFETY: a quarter of a line is 16 bytes within the block.
    unsafe { vld1q_u8(block.add(index * LINE + quarter * LINE / 4)) }
}

/// The four lines that hold the lower 4 bits.
///
/// # Safety
/// There are four lines, and `quarter` is below four.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn nibbles(block: *const u8, quarter: usize) -> [uint8x16_t; 4] {
    let line = |index| {
        // SAFETY: the caller's.
        unsafe { line(block, index, quarter) }
    };
    [line(0), line(1), line(2), line(3)]
}

/// Codes whose bits from the fifth on are the lowest of `high`.
#[inline]
#[target_feature(enable = "neon")]
fn with_high(packed: [uint8x16_t; 4], high: [[uint8x16_t; 4]; 2]) -> Codes {
    let mut codes = [[vdupq_n_s8(0); 4]; 2];
    for s in 0..4 {
        // What is inserted replaces all bits above the fourth.
        let (first, last) = (packed[s], vshrq_n_u8::<4>(packed[s]));
        codes[0][s] = vreinterpretq_s8_u8(vsliq_n_u8::<4>(first, high[0][s]));
        codes[1][s] = vreinterpretq_s8_u8(vsliq_n_u8::<4>(last, high[1][s]));
    }
    codes
}

/// Unsigned codes of 4 bits.
pub(super) struct Four;

impl Bits for Four {
    const LINES: usize = 4;
    const ADDS: usize = 4;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn codes(block: *const u8, quarter: usize) -> Codes {
        // SAFETY: there are four lines.
        let packed = unsafe { nibbles(block, quarter) };
        let low = vdupq_n_u8(15);
        let mut codes = [[vdupq_n_s8(0); 4]; 2];
        for s in 0..4 {
            codes[0][s] = vreinterpretq_s8_u8(vandq_u8(packed[s], low));
            codes[1][s] = vreinterpretq_s8_u8(vshrq_n_u8::<4>(packed[s]));
        }
        codes
    }
}

/// Unsigned codes of 5 bits.
pub(super) struct Five;

impl Bits for Five {
    const LINES: usize = 5;
    const ADDS: usize = 4;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn codes(block: *const u8, quarter: usize) -> Codes {
        // SAFETY: there are five lines.
        let (packed, bits) = unsafe { (nibbles(block, quarter), line(block, 4, quarter)) };
        let mut high = [
            [bits, vshrq_n_u8::<1>(bits), vshrq_n_u8::<2>(bits), vshrq_n_u8::<3>(bits)],
            [
                vshrq_n_u8::<4>(bits),
                vshrq_n_u8::<5>(bits),
                vshrq_n_u8::<6>(bits),
                vshrq_n_u8::<7>(bits),
            ],
        ];
        for high in high.as_flattened_mut() {
            *high = vandq_u8(*high, vdupq_n_u8(1));
        }
        with_high(packed, high)
    }
}

/// Unsigned codes of 6 bits.
pub(super) struct Six;

impl Bits for Six {
    const LINES: usize = 6;
    const ADDS: usize = 2;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn codes(block: *const u8, quarter: usize) -> Codes {
        // SAFETY: there are six lines.
        let (packed, bits) = unsafe {
            (nibbles(block, quarter), [line(block, 4, quarter), line(block, 5, quarter)])
        };
        let mut high = [[vdupq_n_u8(0); 4]; 2];
        for (high, bits) in high.iter_mut().zip(bits) {
            *high = [bits, vshrq_n_u8::<2>(bits), vshrq_n_u8::<4>(bits), vshrq_n_u8::<6>(bits)];
        }
        for high in high.as_flattened_mut() {
            *high = vandq_u8(*high, vdupq_n_u8(3));
        }
        with_high(packed, high)
    }
}

/// Signed codes of 8 bits.
pub(super) struct Eight;

impl Bits for Eight {
    const LINES: usize = 8;
    const ADDS: usize = 1;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn codes(block: *const u8, quarter: usize) -> Codes {
        let mut codes = [[vdupq_n_s8(0); 4]; 2];
        for (index, codes) in codes.as_flattened_mut().iter_mut().enumerate() {
            // SAFETY: there are eight lines.
            *codes = vreinterpretq_s8_u8(unsafe { line(block, index, quarter) });
        }
        codes
    }
}

/// Codes of 4 bits that look up the IQ4 code book.
pub(super) struct Book;

impl Bits for Book {
    const LINES: usize = 4;
    const ADDS: usize = 1;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn codes(block: *const u8, quarter: usize) -> Codes {
        // SAFETY: sixteen bytes are readable.
        let book = unsafe { vld1q_s8(CODE_BOOK.as_ptr()) };
        // SAFETY: there are four lines.
        let mut codes = unsafe { Four::codes(block, quarter) };
        for codes in codes.as_flattened_mut() {
            *codes = vqtbl1q_s8(book, vreinterpretq_u8_s8(*codes));
        }
        codes
    }
}
