use super::layout::{BLOCK, LINE};
use super::token::GROUP;

/// The panels of a matrix.
pub(in crate::kernels) struct Panels<'a> {
    bytes: &'a [u8],
    panel_bytes: usize,
    /// Blocks of a row.
    pub blocks: usize,
}

impl<'a> Panels<'a> {
    /// `count` panels of rows of `columns`.
    pub fn new(bytes: &'a [u8], count: usize, columns: usize) -> Self {
        Self { bytes, panel_bytes: bytes.len() / count.max(1), blocks: columns / BLOCK }
    }

    /// Number of panels.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.panel_bytes.max(1)
    }

    /// Panel `index`.
    ///
    /// # Panics
    /// If there is none.
    pub fn get(&self, index: usize) -> Panel {
        let panel = &self.bytes[index * self.panel_bytes..][..self.panel_bytes];
        Panel(panel.as_ptr())
    }
}

/// Where a panel begins.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Panel(*const u8);

/// What the blocks of a format take.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct GroupShape {
    /// Lines of codes of a block.
    pub lines: usize,
    /// Bytes of the scales of eight blocks.
    pub scale_bytes: usize,
}

/// Where the parts of a group of blocks begin.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Group {
    codes: *const u8,
    lines: usize,
    pub scales: *const u8,
}

impl Panel {
    /// The group of `count` blocks that begins with block `first`, a multiple of eight.
    ///
    /// # Safety
    /// The panel has such a group, and its blocks that shape.
    #[inline]
    pub unsafe fn group(self, shape: GroupShape, first: usize, count: usize) -> Group {
        let GroupShape { lines, scale_bytes } = shape;
        // SAFETY: whole groups follow each other from the start of the panel; in each the codes
        // come first.
        unsafe {
            let codes = self.0.add(first / GROUP * (GROUP * lines * LINE + scale_bytes));
            Group { codes, lines, scales: codes.add(count * lines * LINE) }
        }
    }
}

impl Group {
    /// Codes of block `index`.
    ///
    /// # Safety
    /// The group has such a block.
    #[inline]
    pub unsafe fn block(self, index: usize) -> *const u8 {
        // SAFETY: blocks of `lines` lines follow each other from the start.
        unsafe { self.codes.add(index * self.lines * LINE) }
    }
}
