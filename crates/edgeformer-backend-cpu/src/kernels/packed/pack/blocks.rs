//! The formats of 32 elements a block. See [`super::pack`].

use super::GroupMut;
use super::codes::{put_fifth_bits, put_nibbles};
use crate::kernels::packed::layout::PANEL_ROWS;

/// Bytes of sixteen scales.
const SCALES: usize = 2 * PANEL_ROWS;

pub(super) fn four_bits(block: &[u8; 18], index: usize, row: usize, panel: &mut GroupMut<'_>) {
    let [a, b, codes @ ..] = block;
    put_nibbles(codes, 4 * index, row, panel);
    panel.put_half(SCALES * index, row, [*a, *b]);
}

pub(super) fn four_bits_and_minimum(
    block: &[u8; 20],
    index: usize,
    row: usize,
    panel: &mut GroupMut<'_>,
) {
    let [a, b, c, d, codes @ ..] = block;
    put_nibbles(codes, 4 * index, row, panel);
    panel.put_half(2 * SCALES * index, row, [*a, *b]);
    panel.put_half(2 * SCALES * index + SCALES, row, [*c, *d]);
}

pub(super) fn five_bits(block: &[u8; 22], index: usize, row: usize, panel: &mut GroupMut<'_>) {
    let [a, b, h0, h1, h2, h3, codes @ ..] = block;
    put_nibbles(codes, 5 * index, row, panel);
    put_fifth_bits(&spread([*h0, *h1, *h2, *h3]), 5 * index + 4, row, panel);
    panel.put_half(SCALES * index, row, [*a, *b]);
}

pub(super) fn five_bits_and_minimum(
    block: &[u8; 24],
    index: usize,
    row: usize,
    panel: &mut GroupMut<'_>,
) {
    let [a, b, c, d, h0, h1, h2, h3, codes @ ..] = block;
    put_nibbles(codes, 5 * index, row, panel);
    put_fifth_bits(&spread([*h0, *h1, *h2, *h3]), 5 * index + 4, row, panel);
    panel.put_half(2 * SCALES * index, row, [*a, *b]);
    panel.put_half(2 * SCALES * index + SCALES, row, [*c, *d]);
}

pub(super) fn eight_bits(block: &[u8; 34], index: usize, row: usize, panel: &mut GroupMut<'_>) {
    let [a, b, codes @ ..] = block;
    for (s, &codes) in codes.as_chunks().0.iter().enumerate() {
        panel.put_codes(8 * index + s, row, u32::from_le_bytes(codes));
    }
    panel.put_half(SCALES * index, row, [*a, *b]);
}

/// 32 bits to bytes 0 or 16.
fn spread(bits: [u8; 4]) -> [u8; 32] {
    std::array::from_fn(|i| (bits[i / 8] >> (i % 8) & 1) << 4)
}
