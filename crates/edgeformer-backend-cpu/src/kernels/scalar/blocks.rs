//! The formats of 32 elements a block, and what all quantized formats come down to.

use half::f16;

/// 32 neighbouring weights: element `i` is `scales[i / 16] * codes[i] + minima[i / 16]`.
pub(super) struct Block {
    pub codes: [i8; 32],
    pub scales: [f32; 2],
    pub minima: [f32; 2],
}

impl Block {
    fn new(codes: [i8; 32], scale: f32, minimum: f32) -> Self {
        Self { codes, scales: [scale; 2], minima: [minimum; 2] }
    }
}

/// How a format stores blocks.
pub(super) trait Layout {
    /// Bytes of a block of the format.
    const BYTES: usize;
    /// How many times 32 elements it has.
    const PARTS: usize;
    /// Its elements from `32 * part`.
    fn part(bytes: &[u8], part: usize) -> Block;
}

/// What the codes of IQ4_NL and IQ4_XS stand for.
pub(in super::super) const CODE_BOOK: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The f16 at a place.
pub(super) fn f16_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// 32 nibbles: the low ones of 16 bytes, then the high ones.
pub(super) fn nibbles(bytes: &[u8]) -> [u8; 32] {
    std::array::from_fn(|i| if i < 16 { bytes[i] & 15 } else { bytes[i - 16] >> 4 })
}

/// Nibbles with a fifth bit each, element `i`'s being bit `i` of four bytes.
fn five_bits(high: &[u8], low: &[u8]) -> [u8; 32] {
    let low = nibbles(low);
    std::array::from_fn(|i| low[i] | ((high[i / 8] >> (i % 8) & 1) << 4))
}

/// f16 scale, 32 signed bytes.
pub(super) struct Q8_0;

impl Layout for Q8_0 {
    const BYTES: usize = 34;
    const PARTS: usize = 1;

    fn part(bytes: &[u8], _: usize) -> Block {
        let codes = std::array::from_fn(|i| bytes[2 + i] as i8);
        Block::new(codes, f16_at(bytes, 0), 0.0)
    }
}

/// f16 scale, 32 nibbles that stand for -8..=7.
pub(super) struct Q4_0;

impl Layout for Q4_0 {
    const BYTES: usize = 18;
    const PARTS: usize = 1;

    fn part(bytes: &[u8], _: usize) -> Block {
        let codes = nibbles(&bytes[2..]).map(|code| code as i8 - 8);
        Block::new(codes, f16_at(bytes, 0), 0.0)
    }
}

/// f16 scale, f16 minimum, 32 nibbles.
pub(super) struct Q4_1;

impl Layout for Q4_1 {
    const BYTES: usize = 20;
    const PARTS: usize = 1;

    fn part(bytes: &[u8], _: usize) -> Block {
        let codes = nibbles(&bytes[4..]).map(|code| code as i8);
        Block::new(codes, f16_at(bytes, 0), f16_at(bytes, 2))
    }
}

/// f16 scale, 32 fifth bits, 32 nibbles; codes stand for -16..=15.
pub(super) struct Q5_0;

impl Layout for Q5_0 {
    const BYTES: usize = 22;
    const PARTS: usize = 1;

    fn part(bytes: &[u8], _: usize) -> Block {
        let codes = five_bits(&bytes[2..6], &bytes[6..]).map(|code| code as i8 - 16);
        Block::new(codes, f16_at(bytes, 0), 0.0)
    }
}

/// f16 scale, f16 minimum, 32 fifth bits, 32 nibbles.
pub(super) struct Q5_1;

impl Layout for Q5_1 {
    const BYTES: usize = 24;
    const PARTS: usize = 1;

    fn part(bytes: &[u8], _: usize) -> Block {
        let codes = five_bits(&bytes[4..8], &bytes[8..]).map(|code| code as i8);
        Block::new(codes, f16_at(bytes, 0), f16_at(bytes, 2))
    }
}

/// f16 scale, 32 nibbles that stand for entries of the code book.
pub(super) struct Iq4Nl;

impl Layout for Iq4Nl {
    const BYTES: usize = 18;
    const PARTS: usize = 1;

    fn part(bytes: &[u8], _: usize) -> Block {
        let codes = nibbles(&bytes[2..]).map(|code| CODE_BOOK[code as usize]);
        Block::new(codes, f16_at(bytes, 0), 0.0)
    }
}
