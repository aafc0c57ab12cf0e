//! The float formats: a panel against up to four tokens at a time.
//!
//! Columns are added up in order within 256 of them, then these sums in order: with one running
//! sum, roundings would pile up.

use std::arch::aarch64::*;

use edgeformer_core::Rows;

use super::{Lanes, store};
use crate::kernels::ColumnsMut;
use crate::kernels::aarch64::neon::float::Widen;
use crate::kernels::packed::{LINE, PANEL_ROWS};

/// Columns whose products are added up by themselves, and that are widened at a time.
const COLUMNS: usize = 256;
/// Tokens that share widened weights.
const TOKENS: usize = 64;
/// Tokens whose lanes are in registers at a time.
const TILE: usize = 4;
/// Panels that are read at the same time for a single token.
const STREAMS: usize = 2;

/// Widened weights, column by column.
type Widened = [Lanes; COLUMNS];

#[inline]
#[target_feature(enable = "neon")]
fn zeros() -> Lanes {
    [vdupq_n_f32(0.0); 4]
}

#[target_feature(enable = "neon")]
pub(super) fn matmul<F: Widen>(
    panels: &[u8],
    columns: usize,
    x: Rows<'_>,
    out: &mut ColumnsMut<'_>,
) {
    let panel_bytes = (columns * PANEL_ROWS * F::BYTES).next_multiple_of(LINE);
    if x.len() == 1 {
        return matmul_one::<F>(panels, panel_bytes, x.data(), out.row_mut(0));
    }
    let mut widened: Widened = [zeros(); COLUMNS];
    for (group, tokens) in x.data().chunks(TOKENS * columns).enumerate() {
        let count = tokens.len() / columns;
        for (index, panel) in panels.chunks_exact(panel_bytes).enumerate() {
            let mut sums = [zeros(); TOKENS];
            let weights =
                panel[..columns * PANEL_ROWS * F::BYTES].chunks(COLUMNS * PANEL_ROWS * F::BYTES);
            for (chunk, weights) in weights.enumerate() {
                let widened = widen::<F>(weights, &mut widened);
                multiply(widened, chunk * COLUMNS, tokens, columns, &mut sums[..count]);
            }
            for (token, sums) in sums[..count].iter().enumerate() {
                store(sums, index, out.row_mut(group * TOKENS + token));
            }
        }
    }
}

/// Columns of a panel as f32.
#[inline]
#[target_feature(enable = "neon")]
fn widen<'w, F: Widen>(weights: &[u8], widened: &'w mut Widened) -> &'w [Lanes] {
    let columns = weights.chunks_exact(PANEL_ROWS * F::BYTES);
    let count = columns.len();
    for (column, widened) in columns.zip(widened.iter_mut()) {
        // SAFETY: a column is sixteen elements.
        *widened = unsafe { load::<F>(column.as_ptr()) };
    }
    &widened[..count]
}

/// A column of a panel.
///
/// # Safety
/// Sixteen elements are readable.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load<F: Widen>(column: *const u8) -> Lanes {
    // SAFETY: as the caller says.
    unsafe {
        let [a, b] = F::widen(column);
        let [c, d] = F::widen(column.add(PANEL_ROWS / 2 * F::BYTES));
        [a, b, c, d]
    }
}

/// Adds a column times an activation to the lanes.
#[inline]
#[target_feature(enable = "neon")]
fn add(weights: &Lanes, x: f32, lanes: &mut Lanes) {
    for (lanes, weights) in lanes.iter_mut().zip(weights) {
        *lanes = vfmaq_n_f32(*lanes, *weights, x);
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn sum(sums: &mut Lanes, lanes: &Lanes) {
    sums.iter_mut().zip(lanes).for_each(|(sum, lanes)| *sum = vaddq_f32(*sum, *lanes));
}

/// Adds the products of columns from `first` on with all tokens.
#[inline]
#[target_feature(enable = "neon")]
fn multiply(weights: &[Lanes], first: usize, tokens: &[f32], columns: usize, sums: &mut [Lanes]) {
    let tiles = tokens.chunks(TILE * columns).zip(sums.chunks_mut(TILE));
    for (tokens, sums) in tiles {
        let token = |index: usize| &tokens[index * columns + first..][..weights.len()];
        match sums.len() {
            4 => tile(weights, std::array::from_fn::<_, 4, _>(token), sums),
            3 => tile(weights, std::array::from_fn::<_, 3, _>(token), sums),
            2 => tile(weights, std::array::from_fn::<_, 2, _>(token), sums),
            _ => tile(weights, [token(0)], sums),
        }
    }
}

/// The tile: `T` tokens, each with as many columns as there are weights.
#[inline]
#[target_feature(enable = "neon")]
fn tile<const T: usize>(weights: &[Lanes], tokens: [&[f32]; T], sums: &mut [Lanes]) {
    let mut lanes = [zeros(); T];
    assert!(tokens.iter().all(|token| token.len() == weights.len()), "columns of a tile");
    let tokens = tokens.map(<[f32]>::as_ptr);
    for (column, weights) in weights.iter().enumerate() {
        for (lanes, token) in lanes.iter_mut().zip(tokens) {
            // SAFETY: every token has as many columns as there are weights.
            add(weights, unsafe { *token.add(column) }, lanes);
        }
    }
    sums.iter_mut().zip(&lanes).for_each(|(sums, lanes)| sum(sums, lanes));
}

/// The product with a single token, straight from the panels; additions are in the order of
/// [`tile`].
#[inline]
#[target_feature(enable = "neon")]
fn matmul_one<F: Widen>(panels: &[u8], panel_bytes: usize, x: &[f32], out: &mut [f32]) {
    let count = panels.len() / panel_bytes;
    let length = count / STREAMS;
    for index in 0..length {
        let panels = &panels[index * panel_bytes..];
        let sums = multiply_streams::<F, STREAMS>(panels, length * panel_bytes, x);
        sums.iter().enumerate().for_each(|(at, sums)| store(sums, index + at * length, out));
    }
    for index in STREAMS * length..count {
        let [sums] = multiply_streams::<F, 1>(&panels[index * panel_bytes..], 0, x);
        store(&sums, index, out);
    }
}

/// The products of `P` panels, `stride` bytes apart.
#[inline]
#[target_feature(enable = "neon")]
fn multiply_streams<F: Widen, const P: usize>(
    panels: &[u8],
    stride: usize,
    x: &[f32],
) -> [Lanes; P] {
    assert!(panels.len() >= (P - 1) * stride + x.len() * PANEL_ROWS * F::BYTES, "bytes of panels");
    let mut sums = [zeros(); P];
    for (group, x) in x.chunks(COLUMNS).enumerate() {
        let mut lanes = [zeros(); P];
        for (column, &x) in x.iter().enumerate() {
            let offset = (group * COLUMNS + column) * PANEL_ROWS * F::BYTES;
            for (panel, lanes) in lanes.iter_mut().enumerate() {
                // SAFETY: there are `P` panels, each with as many columns as `x` has.
                let weights = unsafe { load::<F>(panels.as_ptr().add(panel * stride + offset)) };
                add(&weights, x, lanes);
            }
        }
        sums.iter_mut().zip(&lanes).for_each(|(sums, lanes)| sum(sums, lanes));
    }
    sums
}
