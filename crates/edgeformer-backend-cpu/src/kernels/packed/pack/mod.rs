//! From the file's rows to panels.

mod blocks;
mod codes;
mod super_blocks;

use edgeformer_core::Format;

use super::layout::{LINE, PANEL_ROWS, PanelLayout, SUPER};

/// Where a group of blocks is written.
struct GroupMut<'a> {
    /// Lines of codes.
    lines: &'a mut [[u8; LINE]],
    scales: &'a mut [u8],
}

impl GroupMut<'_> {
    /// Writes four codes of a row.
    fn put_codes(&mut self, line: usize, row: usize, codes: u32) {
        self.lines[line][4 * row..4 * row + 4].copy_from_slice(&codes.to_le_bytes());
    }

    /// Writes a 16-bit number of a row into the sixteen that begin at `offset`.
    fn put_half(&mut self, offset: usize, row: usize, half: [u8; 2]) {
        self.scales[offset + 2 * row..][..2].copy_from_slice(&half);
    }

    /// Writes a byte of a row into the sixteen that begin at `offset`.
    fn put_byte(&mut self, offset: usize, row: usize, byte: u8) {
        self.scales[offset + row] = byte;
    }
}

/// Packs up to sixteen rows, one after the other in `rows` as the file holds them.
///
/// # Panics
/// If `rows` are no whole rows, none or more than sixteen, or `panel` is not as long as the
/// layout says.
pub fn pack_panel(layout: &PanelLayout, rows: &[u8], panel: &mut [u8]) {
    let row_bytes = layout.row_bytes();
    let count = rows.len() / row_bytes;
    assert!(rows.len().is_multiple_of(row_bytes) && (1..=PANEL_ROWS).contains(&count), "rows");
    assert_eq!(panel.len(), layout.panel_bytes(), "bytes of a panel");
    if count < PANEL_ROWS {
        panel.fill(0);
    }
    match layout.format() {
        Format::F32 => interleave::<4>(rows, row_bytes, panel),
        Format::F16 | Format::BF16 => interleave::<2>(rows, row_bytes, panel),
        Format::Q4_0 | Format::Iq4Nl => pack(layout, rows, panel, blocks::four_bits),
        Format::Q4_1 => pack(layout, rows, panel, blocks::four_bits_and_minimum),
        Format::Q5_0 => pack(layout, rows, panel, blocks::five_bits),
        Format::Q5_1 => pack(layout, rows, panel, blocks::five_bits_and_minimum),
        Format::Q8_0 => pack(layout, rows, panel, blocks::eight_bits),
        Format::Q4K => pack(layout, rows, panel, super_blocks::q4_k),
        Format::Q5K => pack(layout, rows, panel, super_blocks::q5_k),
        Format::Q6K => pack(layout, rows, panel, super_blocks::q6_k),
        Format::Iq4Xs => pack(layout, rows, panel, super_blocks::iq4_xs),
        Format::Q2K | Format::Q3K => unreachable!("a layout exists only for formats with panels"),
    }
}

/// Packs rows group by group: what is written stays together. `put` writes block `index` of a
/// group, of row `row`.
fn pack<const BYTES: usize>(
    layout: &PanelLayout,
    rows: &[u8],
    panel: &mut [u8],
    put: impl Fn(&[u8; BYTES], usize, usize, &mut GroupMut<'_>),
) {
    let blocks = SUPER / layout.format().block_len();
    for group in 0..layout.groups() {
        let (codes, scales) = layout.group(group);
        let (codes, scales) = panel[codes.start..scales.end].split_at_mut(codes.len());
        let mut part = GroupMut { lines: codes.as_chunks_mut().0, scales };
        for (row, bytes) in rows.chunks_exact(layout.row_bytes()).enumerate() {
            let all = bytes.as_chunks().0;
            let own = &all[group * blocks..all.len().min((group + 1) * blocks)];
            for (index, block) in own.iter().enumerate() {
                put(block, index, row, &mut part);
            }
        }
    }
}

/// Elements of `N` bytes, column by column.
fn interleave<const N: usize>(rows: &[u8], row_bytes: usize, out: &mut [u8]) {
    let (columns, _) = out.as_chunks_mut::<N>();
    for (row, bytes) in rows.chunks_exact(row_bytes).enumerate() {
        for (column, &element) in columns.chunks_exact_mut(PANEL_ROWS).zip(bytes.as_chunks().0) {
            column[row] = element;
        }
    }
}
