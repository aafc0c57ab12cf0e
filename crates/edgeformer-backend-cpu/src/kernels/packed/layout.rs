use std::ops::Range;

use edgeformer_core::Format;

/// Rows of a panel.
pub const PANEL_ROWS: usize = 16;
/// Bytes of a line: four codes of each row.
pub(in crate::kernels) const LINE: usize = 4 * PANEL_ROWS;
/// Columns of a block.
pub(in crate::kernels) const BLOCK: usize = 32;
/// Columns of a group of blocks: a super-block, for formats that have them.
pub(in crate::kernels) const SUPER: usize = 256;

/// Where the parts of a panel lie, for rows of some columns in a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PanelLayout {
    format: Format,
    columns: usize,
}

/// What a format's blocks take in a panel.
struct Parts {
    /// Lines of codes of a block.
    lines: usize,
    /// Bytes of scales and minima of a block.
    of_block: usize,
    /// Bytes of what the blocks of a super-block share.
    of_super: usize,
}

impl Parts {
    /// Bytes of a group of so many blocks.
    fn bytes(&self, blocks: usize) -> usize {
        let scales = self.of_super + blocks * self.of_block;
        blocks * self.lines * LINE + scales.next_multiple_of(LINE)
    }

    /// `None` for formats that have no panels.
    fn of(format: Format) -> Option<Self> {
        let [lines, of_block, of_super] = match format {
            Format::Q4_0 | Format::Iq4Nl => [4, 32, 0],
            Format::Q4_1 => [4, 64, 0],
            Format::Q5_0 => [5, 32, 0],
            Format::Q5_1 => [5, 64, 0],
            Format::Q8_0 => [8, 32, 0],
            Format::Q4K => [4, 32, 64],
            Format::Q5K => [5, 32, 64],
            Format::Q6K => [6, 32, 32],
            Format::Iq4Xs => [4, 16, 32],
            Format::F32 | Format::F16 | Format::BF16 | Format::Q2K | Format::Q3K => return None,
        };
        Some(Self { lines, of_block, of_super })
    }
}

impl PanelLayout {
    /// The layout for rows of `columns` columns; `None` if the format has no panels or the
    /// columns are no whole blocks of it.
    pub fn new(format: Format, columns: usize) -> Option<Self> {
        let has_panels = format.is_float() || Parts::of(format).is_some();
        let whole = columns > 0 && columns.is_multiple_of(format.block_len());
        (has_panels && whole).then_some(Self { format, columns })
    }

    /// The format of the rows.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Columns of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Groups of blocks in a panel of a quantized format.
    pub(super) fn groups(&self) -> usize {
        self.columns.div_ceil(SUPER)
    }

    /// Where the codes and the scales of a group lie in a panel.
    pub(super) fn group(&self, index: usize) -> (Range<usize>, Range<usize>) {
        let Some(parts) = Parts::of(self.format) else { return (0..0, 0..0) };
        let start = index * parts.bytes(SUPER / BLOCK);
        let blocks = (self.columns / BLOCK - index * (SUPER / BLOCK)).min(SUPER / BLOCK);
        let codes = start + blocks * parts.lines * LINE;
        (start..codes, codes..start + parts.bytes(blocks))
    }

    /// Bytes of a panel, whole lines.
    pub fn panel_bytes(&self) -> usize {
        if self.format.is_float() {
            let bytes = self.columns * PANEL_ROWS * self.format.block_bytes();
            return bytes.next_multiple_of(LINE);
        }
        self.group(self.groups() - 1).1.end
    }

    /// Bytes that `rows` rows take, the last panel filled up.
    pub fn bytes(&self, rows: usize) -> usize {
        rows.div_ceil(PANEL_ROWS) * self.panel_bytes()
    }

    /// Bytes of a row in the file.
    pub fn row_bytes(&self) -> usize {
        self.columns / self.format.block_len() * self.format.block_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_take_about_what_files_do() {
        for format in Format::ALL {
            let Some(layout) = PanelLayout::new(format, 1024) else { continue };
            let ratio = layout.bytes(64) as f64 / (64 * layout.row_bytes()) as f64;
            assert!((1.0..1.03).contains(&ratio), "{format}: {ratio}");
        }
    }

    #[test]
    fn what_has_no_panels_says_so() {
        assert_eq!(PanelLayout::new(Format::Q2K, 256), None);
        assert_eq!(PanelLayout::new(Format::Q4_0, 33), None);
        assert_eq!(PanelLayout::new(Format::F16, 0), None);
        assert!(PanelLayout::new(Format::F16, 33).is_some());
    }
}
