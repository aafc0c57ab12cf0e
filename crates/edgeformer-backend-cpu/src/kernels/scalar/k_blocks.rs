//! The formats of 256 elements a block: eight parts of 32 under scales of their own, which are
//! small integers under one f16.

use super::blocks::{Block, CODE_BOOK, Layout, f16_at, nibbles};

/// Six-bit scales and minima of the eight parts of a Q4_K or Q5_K block, from 12 bytes.
pub(in super::super) struct Scales6 {
    pub scales: [u8; 8],
    pub minima: [u8; 8],
}

impl Scales6 {
    /// The first four of each lie in the low six bits of bytes 0..8; of the last four, the low
    /// nibbles lie in bytes 8..12 and the two high bits on top of the first eight bytes.
    pub fn decode(bytes: &[u8]) -> Self {
        let low = |i: usize| bytes[i] & 63;
        let top = |i: usize| bytes[i] >> 6 << 4;
        let scale = |j: usize| if j < 4 { low(j) } else { bytes[j + 4] & 15 | top(j - 4) };
        let minimum = |j: usize| if j < 4 { low(j + 4) } else { bytes[j + 4] >> 4 | top(j) };
        Self { scales: std::array::from_fn(scale), minima: std::array::from_fn(minimum) }
    }
}

/// The sixteen scales of a Q3_K block, from 12 bytes: nibbles in the first eight, pairs of high
/// bits in the last four; -32..=31.
pub(in super::super) fn scales_q3_k(bytes: &[u8]) -> [i8; 16] {
    std::array::from_fn(|j| {
        let low = bytes[j % 8] >> (4 * (j / 8)) & 15;
        let high = bytes[8 + j % 4] >> (2 * (j / 4)) & 3;
        (low | high << 4) as i8 - 32
    })
}

/// A block of 256 as halves of 128: byte `32 * (part / 4) + i` holds element `i` of its four
/// parts, two bits each.
fn two_bits(bytes: &[u8], part: usize) -> [u8; 32] {
    std::array::from_fn(|i| bytes[32 * (part / 4) + i] >> (2 * (part % 4)) & 3)
}

/// 32 bytes hold the nibbles of two parts.
fn nibbles_of_pair(bytes: &[u8], part: usize) -> [u8; 32] {
    std::array::from_fn(|i| bytes[32 * (part / 2) + i] >> (4 * (part % 2)) & 15)
}

/// 16 nibble pairs (scale, minimum), 2 bits an element, f16 scale of scales, f16 of minima.
pub(super) struct Q2K;

impl Layout for Q2K {
    const BYTES: usize = 84;
    const PARTS: usize = 8;

    fn part(bytes: &[u8], part: usize) -> Block {
        let (scale, minimum) = (f16_at(bytes, 80), f16_at(bytes, 82));
        let pair = [bytes[2 * part], bytes[2 * part + 1]];
        Block {
            codes: two_bits(&bytes[16..80], part).map(|code| code as i8),
            scales: pair.map(|byte| scale * f32::from(byte & 15)),
            minima: pair.map(|byte| -minimum * f32::from(byte >> 4)),
        }
    }
}

/// 32 bytes of third bits (bit `p` of byte `i` is element `i` of part `p`; absent means -4),
/// 2 bits an element, 16 six-bit scales, f16.
pub(super) struct Q3K;

impl Layout for Q3K {
    const BYTES: usize = 110;
    const PARTS: usize = 8;

    fn part(bytes: &[u8], part: usize) -> Block {
        let scales = scales_q3_k(&bytes[96..108]);
        let low = two_bits(&bytes[32..96], part);
        let scale = f16_at(bytes, 108);
        Block {
            codes: std::array::from_fn(|i| (low[i] | (bytes[i] >> part & 1) << 2) as i8 - 4),
            scales: [scales[2 * part], scales[2 * part + 1]].map(|code| scale * f32::from(code)),
            minima: [0.0; 2],
        }
    }
}

/// f16 scale of scales, f16 of minima, [`Scales6`], nibbles.
pub(super) struct Q4K;

impl Layout for Q4K {
    const BYTES: usize = 144;
    const PARTS: usize = 8;

    fn part(bytes: &[u8], part: usize) -> Block {
        let scales = Scales6::decode(&bytes[4..16]);
        Block {
            codes: nibbles_of_pair(&bytes[16..], part).map(|code| code as i8),
            scales: [f16_at(bytes, 0) * f32::from(scales.scales[part]); 2],
            minima: [-f16_at(bytes, 2) * f32::from(scales.minima[part]); 2],
        }
    }
}

/// As Q4_K with 32 bytes of fifth bits (bit `p` of byte `i` is element `i` of part `p`) between.
pub(super) struct Q5K;

impl Layout for Q5K {
    const BYTES: usize = 176;
    const PARTS: usize = 8;

    fn part(bytes: &[u8], part: usize) -> Block {
        let scales = Scales6::decode(&bytes[4..16]);
        let (high, low) = (&bytes[16..48], nibbles_of_pair(&bytes[48..], part));
        Block {
            codes: std::array::from_fn(|i| (low[i] | (high[i] >> part & 1) << 4) as i8),
            scales: [f16_at(bytes, 0) * f32::from(scales.scales[part]); 2],
            minima: [-f16_at(bytes, 2) * f32::from(scales.minima[part]); 2],
        }
    }
}

/// 128 bytes of nibbles, 64 of pairs of high bits, 16 signed scales, f16; codes stand for
/// -32..=31. In each half of the block, 64 bytes hold the low nibbles of parts 0 and 1 and the
/// high ones of parts 2 and 3.
pub(super) struct Q6K;

impl Layout for Q6K {
    const BYTES: usize = 210;
    const PARTS: usize = 8;

    fn part(bytes: &[u8], part: usize) -> Block {
        let (half, quarter) = (part / 4, part % 4);
        let low = &bytes[64 * half + 32 * (quarter % 2)..];
        let high = two_bits(&bytes[128..192], part);
        let scale = f16_at(bytes, 208);
        let code = |i: usize| (low[i] >> (4 * (quarter / 2)) & 15 | high[i] << 4) as i8 - 32;
        Block {
            codes: std::array::from_fn(code),
            scales: [bytes[192 + 2 * part], bytes[193 + 2 * part]]
                .map(|byte| scale * f32::from(byte as i8)),
            minima: [0.0; 2],
        }
    }
}

/// f16, pairs of high bits of the scales, their nibbles, nibbles that stand for entries of the
/// code book; scales stand for -32..=31.
pub(super) struct Iq4Xs;

impl Layout for Iq4Xs {
    const BYTES: usize = 136;
    const PARTS: usize = 8;

    fn part(bytes: &[u8], part: usize) -> Block {
        let low = bytes[4 + part / 2] >> (4 * (part % 2)) & 15;
        let high = bytes[2 + part / 4] >> (2 * (part % 4)) & 3;
        let scale = f16_at(bytes, 0) * (f32::from(low | high << 4) - 32.0);
        Block {
            codes: nibbles(&bytes[8 + 16 * part..]).map(|code| CODE_BOOK[code as usize]),
            scales: [scale; 2],
            minima: [0.0; 2],
        }
    }
}
