//! From one form of a page to another.

use std::ops::Range;

use super::section::{Section, Side};
use crate::kernels::Kernels;

/// What a conversion works with.
pub(in crate::cache) struct Converter<'a> {
    pub kernels: &'a Kernels,
    /// Room for the widest row.
    pub row: &'a mut [f32],
}

impl Converter<'_> {
    /// Copies the rows of some tokens of a section to the same section in another form, and the
    /// bounds, which are found where they were not known.
    pub fn section(
        &mut self,
        (section, bytes): (&Section, &[u8]),
        (to, to_bytes): (&Section, &mut [u8]),
        tokens: Range<usize>,
    ) {
        for (side, other) in [(section.keys, to.keys), (section.values, to.values)] {
            for head in 0..side.heads {
                self.rows((side, bytes), (other, to_bytes), head, tokens.clone());
            }
        }
        let bounds = section.bound_range();
        if to.bound_range().is_empty() {
            return;
        }
        match bounds.is_empty() {
            true => to.find_bounds(self.kernels, to_bytes, self.row),
            false => to_bytes[to.bound_range()].copy_from_slice(&bytes[bounds]),
        }
    }

    fn rows(
        &mut self,
        (side, bytes): (Side, &[u8]),
        (to, to_bytes): (Side, &mut [u8]),
        head: usize,
        tokens: Range<usize>,
    ) {
        if side.dim == 0 {
            return;
        }
        if side.storage == to.storage {
            return side.copy_rows(bytes, &to, to_bytes, head, tokens);
        }
        let row = &mut self.row[..side.dim];
        for token in tokens {
            self.kernels.decode_rows(side.rows(bytes, head, token..token + 1), side.dim, row);
            to.store(self.kernels, to_bytes, head, token, row);
        }
    }
}
