//! The formats of 256 elements a block. See [`super::pack`].

use edgeformer_core::quant;

use super::GroupMut;
use super::codes::{put_fifth_bits, put_high_bits, put_low_bits, put_nibbles};
use crate::kernels::packed::layout::PANEL_ROWS;

/// Blocks of a super-block.
const BLOCKS: usize = 8;

pub(super) fn q4_k(block: &[u8; 144], _: usize, row: usize, panel: &mut GroupMut<'_>) {
    for (pair, packed) in block[16..].as_chunks::<32>().0.iter().enumerate() {
        let line = 8 * pair;
        put_low_bits(packed, line, row, panel);
        put_low_bits(&packed.map(|byte| byte >> 4), line + 4, row, panel);
    }
    let (scales, minima) = quant::Q4K::scales_and_mins(block);
    put_scales_and_minima([block[0], block[1], block[2], block[3]], scales, minima, row, panel);
}

pub(super) fn q5_k(block: &[u8; 176], _: usize, row: usize, panel: &mut GroupMut<'_>) {
    let high = &block[16..48];
    for (pair, packed) in block[48..].as_chunks::<32>().0.iter().enumerate() {
        for half in 0..2 {
            let part = 2 * pair + half;
            let codes: [u8; 32] = std::array::from_fn(|i| {
                (packed[i] >> (4 * half) & 15) | (high[i] >> part & 1) << 4
            });
            let line = 5 * part;
            put_low_bits(&codes, line, row, panel);
            put_fifth_bits(&codes, line + 4, row, panel);
        }
    }
    let (scales, minima) = quant::Q5K::scales_and_mins(block);
    put_scales_and_minima([block[0], block[1], block[2], block[3]], scales, minima, row, panel);
}

/// The two shared numbers, and the eight scales and minima under them.
fn put_scales_and_minima(
    [a, b, c, d]: [u8; 4],
    scales: [u8; BLOCKS],
    minima: [u8; BLOCKS],
    row: usize,
    panel: &mut GroupMut<'_>,
) {
    panel.put_half(0, row, [a, b]);
    panel.put_half(2 * PANEL_ROWS, row, [c, d]);
    let blocks = 4 * PANEL_ROWS;
    for (part, (scale, minimum)) in scales.into_iter().zip(minima).enumerate() {
        panel.put_byte(blocks + 2 * PANEL_ROWS * part, row, scale);
        panel.put_byte(blocks + 2 * PANEL_ROWS * part + PANEL_ROWS, row, minimum);
    }
}

pub(super) fn q6_k(block: &[u8; 210], _: usize, row: usize, panel: &mut GroupMut<'_>) {
    for part in 0..BLOCKS {
        // 128 elements: 64 bytes of low bits, 32 of high ones.
        let (half, quarter) = (part / 4, part % 4);
        let low = &block[64 * half + 32 * (quarter % 2)..];
        let high = &block[128 + 32 * half..];
        let codes: [u8; 32] = std::array::from_fn(|i| {
            (low[i] >> (4 * (quarter / 2)) & 15) | (high[i] >> (2 * quarter) & 3) << 4
        });
        let line = 6 * part;
        put_low_bits(&codes, line, row, panel);
        put_high_bits(&codes, line + 4, row, panel);
    }
    panel.put_half(0, row, [block[208], block[209]]);
    for (group, scale) in quant::Q6K::scales(block).into_iter().enumerate() {
        let at = 2 * PANEL_ROWS + PANEL_ROWS * group;
        panel.put_byte(at, row, scale.cast_unsigned());
    }
}

pub(super) fn iq4_xs(block: &[u8; 136], _: usize, row: usize, panel: &mut GroupMut<'_>) {
    for (part, packed) in block[8..].as_chunks().0.iter().enumerate() {
        put_nibbles(packed, 4 * part, row, panel);
    }
    panel.put_half(0, row, [block[0], block[1]]);
    for (part, scale) in quant::Iq4Xs::scales(block).into_iter().enumerate() {
        let at = 2 * PANEL_ROWS + PANEL_ROWS * part;
        panel.put_byte(at, row, scale.cast_unsigned());
    }
}
