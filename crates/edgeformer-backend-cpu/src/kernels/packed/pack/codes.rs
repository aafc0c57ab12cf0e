//! Codes to lines: see the table in [`super::super`].

use super::GroupMut;

/// Two 4-bit codes in each of sixteen bytes, 16 columns apart, as the formats of 32 hold them:
/// nothing changes but the place.
pub(super) fn put_nibbles(packed: &[u8; 16], line: usize, row: usize, panel: &mut GroupMut<'_>) {
    for (i, &codes) in packed.as_chunks().0.iter().enumerate() {
        panel.put_codes(line + i, row, u32::from_le_bytes(codes));
    }
}

/// The lower 4 bits of 32 codes, one a byte.
pub(super) fn put_low_bits(codes: &[u8; 32], line: usize, row: usize, panel: &mut GroupMut<'_>) {
    let word = |at: usize| four(codes, at) & 0x0f0f_0f0f;
    for i in 0..4 {
        panel.put_codes(line + i, row, word(4 * i) | word(4 * i + 16) << 4);
    }
}

/// The fifth bits of 32 codes, one a byte (in bit 4).
pub(super) fn put_fifth_bits(codes: &[u8; 32], line: usize, row: usize, panel: &mut GroupMut<'_>) {
    let bits = |s: usize| (four(codes, 4 * s) >> 4 & 0x0101_0101) << s;
    panel.put_codes(line, row, (0..8).fold(0, |all, s| all | bits(s)));
}

/// The fifth and sixth bits of 32 codes, one a byte (in bits 4 and 5).
pub(super) fn put_high_bits(codes: &[u8; 32], line: usize, row: usize, panel: &mut GroupMut<'_>) {
    for half in 0..2 {
        let bits = |t: usize| (four(codes, 16 * half + 4 * t) >> 4 & 0x0303_0303) << (2 * t);
        panel.put_codes(line + half, row, (0..4).fold(0, |all, t| all | bits(t)));
    }
}

/// Four codes as one word.
fn four(codes: &[u8; 32], at: usize) -> u32 {
    u32::from_le_bytes([codes[at], codes[at + 1], codes[at + 2], codes[at + 3]])
}
