//! From panels back to values: for embeddings that share the matrix of the output, and the
//! readable account of what a panel means.

use edgeformer_core::Format;
use edgeformer_core::quant::CODE_BOOK;
use half::{bf16, f16};

use super::layout::{BLOCK, LINE, PANEL_ROWS, PanelLayout, SUPER};

/// Decodes a row of a panel, with the roundings of [`Format::dequantize`].
///
/// # Panics
/// If `row` is not below sixteen, or panel and `out` are not as long as the layout says.
pub fn decode_row(layout: &PanelLayout, panel: &[u8], row: usize, out: &mut [f32]) {
    assert!(row < PANEL_ROWS, "row {row} of a panel");
    assert_eq!(panel.len(), layout.panel_bytes(), "bytes of a panel");
    assert_eq!(out.len(), layout.columns(), "columns");
    match layout.format() {
        Format::F32 => column_by_column(panel, row, out, f32::from_le_bytes),
        Format::F16 => {
            column_by_column(panel, row, out, |bytes| f16::from_le_bytes(bytes).to_f32())
        }
        Format::BF16 => {
            column_by_column(panel, row, out, |bytes| bf16::from_le_bytes(bytes).to_f32());
        }
        format => {
            for (group, out) in out.chunks_mut(SUPER).enumerate() {
                let (codes, scales) = layout.group(group);
                let group = BlockGroup { format, codes: &panel[codes], scales: &panel[scales] };
                for (index, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
                    group.decode_block(index, row, out);
                }
            }
        }
    }
}

fn column_by_column<const N: usize>(
    codes: &[u8],
    row: usize,
    out: &mut [f32],
    decode: impl Fn([u8; N]) -> f32,
) {
    let elements = codes.as_chunks::<N>().0.chunks_exact(PANEL_ROWS);
    for (column, out) in elements.zip(out) {
        *out = decode(column[row]);
    }
}

/// A group of blocks of a quantized format.
struct BlockGroup<'a> {
    format: Format,
    codes: &'a [u8],
    scales: &'a [u8],
}

/// What the codes of half a block are multiplied with, and what is added to the product.
#[derive(Clone, Copy)]
struct Group {
    scale: f32,
    plus: f32,
}

impl BlockGroup<'_> {
    fn decode_block(&self, index: usize, row: usize, out: &mut [f32; BLOCK]) {
        let codes = self.codes_of(index, row);
        let groups = self.groups_of(index, row);
        for (i, (out, code)) in out.iter_mut().zip(codes).enumerate() {
            let Group { scale, plus } = groups[i / 16];
            *out = scale * f32::from(code) + plus;
        }
    }

    /// The centred codes.
    fn codes_of(&self, index: usize, row: usize) -> [i8; BLOCK] {
        let byte = |lines: usize, line: usize, j: usize| {
            self.codes[(index * lines + line) * LINE + 4 * row + j]
        };
        let four = |lines: usize, k: usize| byte(lines, k % 16 / 4, k % 4) >> (k / 16 * 4) & 15;
        let code = |k: usize| -> i8 {
            let (s, j) = (k / 4, k % 4);
            match self.format {
                Format::Q8_0 => byte(8, s, j).cast_signed(),
                Format::Q4_0 => four(4, k).cast_signed() - 8,
                Format::Iq4Nl | Format::Iq4Xs => CODE_BOOK[four(4, k) as usize],
                Format::Q5_0 | Format::Q5_1 | Format::Q5K => {
                    let code = four(5, k) | (byte(5, 4, j) >> s & 1) << 4;
                    code.cast_signed() - if self.format == Format::Q5_0 { 16 } else { 0 }
                }
                Format::Q6K => {
                    let high = byte(6, 4 + s / 4, j) >> (2 * (s % 4)) & 3;
                    (four(6, k) | high << 4).cast_signed() - 32
                }
                _ => four(4, k).cast_signed(),
            }
        };
        std::array::from_fn(code)
    }

    fn groups_of(&self, index: usize, row: usize) -> [Group; 2] {
        let half = |offset: usize| {
            let at = offset + 2 * row;
            f16::from_le_bytes([self.scales[at], self.scales[at + 1]]).to_f32()
        };
        let byte = |offset: usize| self.scales[offset + row];
        match self.format {
            Format::Q4_1 | Format::Q5_1 => {
                [Group { scale: half(64 * index), plus: half(64 * index + 32) }; 2]
            }
            Format::Q4K | Format::Q5K => {
                let block = 64 + 32 * index;
                let scale = half(0) * f32::from(byte(block));
                [Group { scale, plus: -(half(32) * f32::from(byte(block + 16))) }; 2]
            }
            Format::Q6K => {
                let group = |at: usize| {
                    let code = byte(32 + 32 * index + 16 * at).cast_signed();
                    Group { scale: half(0) * f32::from(code), plus: -0.0 }
                };
                [group(0), group(1)]
            }
            Format::Iq4Xs => {
                let code = byte(32 + 16 * index).cast_signed();
                [Group { scale: half(0) * f32::from(code), plus: -0.0 }; 2]
            }
            _ => [Group { scale: half(32 * index), plus: -0.0 }; 2],
        }
    }
}
