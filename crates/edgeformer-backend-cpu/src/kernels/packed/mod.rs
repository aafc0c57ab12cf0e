//! Weights in panels: sixteen rows interleaved, so that one vector holds the same columns of
//! neighbouring rows, and a product needs no sum across lanes.
//!
//! A panel of a quantized format is group after group of eight blocks of 32 columns (the last may
//! have fewer): first the codes of the blocks, then their scales, filled up to a whole line.
//! Codes come in *lines* of 64 bytes: four bytes a row, one cache line, always aligned. With `s`
//! for four neighbouring columns (`s` = 0..8 in a block):
//!
//! | bits | lines of a block | byte `j` of a row |
//! |---|---|---|
//! | 4 | 4 | line `i`: column `4i + j` in the low half, `4i + j + 16` in the high half |
//! | 5 | 4, then 1 | as 4 bits; in the last, bit `s` is the highest of column `4s + j` |
//! | 6 | 4, then 2 | as 4 bits; in line `4 + h`, bits `2t` and up are the highest of `16h + 4t + j` |
//! | 8 | 8 | line `s`: column `4s + j` |
//!
//! Codes stay as the file holds them, unsigned below 8 bits. Scales are the sixteen shared f16
//! numbers of a super-block, for formats that have them, and for every block the sixteen scales,
//! then the sixteen minima or the scales of its second half. So a product reads a matrix from its
//! first byte to its last.
//!
//! A panel of a float format is column after column, sixteen elements each.
//!
//! The last panel of a matrix may have rows of zeros. Packing loses nothing: [`decode_row`] gives
//! the file's values. Files keep panels from start to start: a change of any of this raises
//! `LAYOUT_VERSION` in `program/packed/form.rs`.

mod decode;
mod kernel;
mod layout;
mod pack;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod panels;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod token;

pub use decode::decode_row;
pub use kernel::PackedKernel;
pub use layout::{PANEL_ROWS, PanelLayout};
pub use pack::pack_panel;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use layout::{BLOCK, LINE, SUPER};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use panels::{GroupShape, Panel, Panels};
#[cfg(target_arch = "x86_64")]
pub(super) use token::Excess;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use token::{GROUP, Token};
