//! The float formats: 16 rows of a panel against up to six tokens at a time.
//!
//! Columns are added up in order within 256 of them, then these sums in order: with one running
//! sum, roundings would pile up.

use std::arch::x86_64::*;

use edgeformer_core::Rows;

use super::ROWS;
use crate::kernels::ColumnsMut;
use crate::kernels::packed::{LINE, PANEL_ROWS};
use crate::kernels::x86::avx2::float::Widen;
use crate::kernels::x86::avx2::vector::{self, ask_for};

/// Columns whose products are added up by themselves, and that are widened at a time.
const COLUMNS: usize = 256;
/// Tokens that share widened weights: with half as many, widening takes a twentieth more of the time.
const TOKENS: usize = 120;
/// Tokens whose lanes are in registers at a time.
const TILE: usize = 6;
/// Panels that are read at the same time for a single token.
const STREAMS: usize = 4;

/// Both halves of a panel's rows.
type Lanes = [__m256; 2];

/// Widened weights, column by column.
type Widened = [Lanes; COLUMNS];

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn matmul<F: Widen>(
    panels: &[u8],
    columns: usize,
    x: Rows<'_>,
    out: &mut ColumnsMut<'_>,
) {
    let panel_bytes = (columns * PANEL_ROWS * F::BYTES).next_multiple_of(64);
    if x.len() == 1 {
        return matmul_one::<F>(panels, panel_bytes, x.data(), out.row_mut(0));
    }
    let mut widened: Widened = [[_mm256_setzero_ps(); 2]; COLUMNS];
    for (group, tokens) in x.data().chunks(TOKENS * columns).enumerate() {
        let count = tokens.len() / columns;
        for (index, panel) in panels.chunks_exact(panel_bytes).enumerate() {
            let mut sums = [[_mm256_setzero_ps(); 2]; TOKENS];
            for first in (0..columns).step_by(COLUMNS) {
                let len = COLUMNS.min(columns - first);
                let weights =
                    &panel[first * PANEL_ROWS * F::BYTES..][..len * PANEL_ROWS * F::BYTES];
                // SAFETY: this function runs, so the machine has the features.
                let widened = unsafe { widen::<F>(weights, &mut widened) };
                // As the panels of codes: who guesses addresses forgets in the meantime.
                ask_for::<_MM_HINT_T1>(weights.as_ptr_range().end, weights.len() / LINE);
                multiply(widened, first, tokens, columns, &mut sums[..count]);
            }
            for (token, sums) in sums[..count].iter().enumerate() {
                let row = out.row_mut(group * TOKENS + token);
                let end = row.len().min((index + 1) * PANEL_ROWS);
                store(sums, &mut row[index * PANEL_ROWS..end]);
            }
        }
    }
}

/// Both halves, as far as there is room.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn store(lanes: &Lanes, out: &mut [f32]) {
    for (&lanes, out) in lanes.iter().zip(out.chunks_mut(ROWS)) {
        vector::store_some(lanes, out);
    }
}

/// Columns of a panel as f32.
///
/// # Safety
/// The machine has AVX2, FMA and F16C.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn widen<'w, F: Widen>(weights: &[u8], widened: &'w mut Widened) -> &'w [Lanes] {
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
/// The machine has AVX2, FMA and F16C, and sixteen elements are readable.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn load<F: Widen>(column: *const u8) -> Lanes {
    // SAFETY: as the caller says.
    unsafe { [F::widen(column), F::widen(column.add(ROWS * F::BYTES))] }
}

/// Adds the products of columns from `first` on with all tokens.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply(weights: &[Lanes], first: usize, tokens: &[f32], columns: usize, sums: &mut [Lanes]) {
    let tiles = tokens.chunks(TILE * columns).zip(sums.chunks_mut(TILE));
    for (tokens, sums) in tiles {
        let token = |index: usize| &tokens[index * columns + first..][..weights.len()];
        match sums.len() {
            6 => tile(weights, std::array::from_fn::<_, 6, _>(token), sums),
            5 => tile(weights, std::array::from_fn::<_, 5, _>(token), sums),
            4 => tile(weights, std::array::from_fn::<_, 4, _>(token), sums),
            3 => tile(weights, std::array::from_fn::<_, 3, _>(token), sums),
            2 => tile(weights, std::array::from_fn::<_, 2, _>(token), sums),
            _ => tile(weights, [token(0)], sums),
        }
    }
}

/// The tile: `T` tokens, each with as many columns as there are weights.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn tile<const T: usize>(weights: &[Lanes], tokens: [&[f32]; T], sums: &mut [Lanes]) {
    let mut lanes = [[_mm256_setzero_ps(); 2]; T];
    assert!(tokens.iter().all(|token| token.len() == weights.len()), "columns of a tile");
    let tokens = tokens.map(<[f32]>::as_ptr);
    for (column, weights) in weights.iter().enumerate() {
        for (lanes, token) in lanes.iter_mut().zip(tokens) {
            // SAFETY: every token has as many columns as there are weights.
            let x = _mm256_set1_ps(unsafe { *token.add(column) });
            lanes[0] = _mm256_fmadd_ps(weights[0], x, lanes[0]);
            lanes[1] = _mm256_fmadd_ps(weights[1], x, lanes[1]);
        }
    }
    for (sums, lanes) in sums.iter_mut().zip(lanes) {
        *sums = [_mm256_add_ps(sums[0], lanes[0]), _mm256_add_ps(sums[1], lanes[1])];
    }
}

/// The product with a single token, straight from the panels; additions are in the order of
/// [`tile`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn matmul_one<F: Widen>(panels: &[u8], panel_bytes: usize, x: &[f32], out: &mut [f32]) {
    let count = panels.len() / panel_bytes;
    let length = count / STREAMS;
    let mut put = |index: usize, sums: &Lanes| {
        let end = out.len().min((index + 1) * PANEL_ROWS);
        store(sums, &mut out[index * PANEL_ROWS..end]);
    };
    for index in 0..length {
        // SAFETY: this function runs, so the machine has the features.
        let sums = unsafe {
            multiply_streams::<F, STREAMS>(&panels[index * panel_bytes..], length * panel_bytes, x)
        };
        sums.iter().enumerate().for_each(|(stream, sums)| put(index + stream * length, sums));
    }
    for index in STREAMS * length..count {
        // SAFETY: this function runs, so the machine has the features.
        let [sums] = unsafe { multiply_streams::<F, 1>(&panels[index * panel_bytes..], 0, x) };
        put(index, &sums);
    }
}

/// The products of `P` panels, `stride` bytes apart.
///
/// # Safety
/// The machine has AVX2, FMA and F16C.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn multiply_streams<F: Widen, const P: usize>(
    panels: &[u8],
    stride: usize,
    x: &[f32],
) -> [Lanes; P] {
    assert!(panels.len() >= (P - 1) * stride + x.len() * PANEL_ROWS * F::BYTES, "bytes of panels");
    let mut sums = [[_mm256_setzero_ps(); 2]; P];
    for (group, x) in x.chunks(COLUMNS).enumerate() {
        let mut lanes = [[_mm256_setzero_ps(); 2]; P];
        for (column, &x) in x.iter().enumerate() {
            let x = _mm256_set1_ps(x);
            let offset = (group * COLUMNS + column) * PANEL_ROWS * F::BYTES;
            for (panel, lanes) in lanes.iter_mut().enumerate() {
                // SAFETY: there are `P` panels, each with as many columns as `x` has.
                let weights = unsafe { load::<F>(panels.as_ptr().add(panel * stride + offset)) };
                lanes[0] = _mm256_fmadd_ps(weights[0], x, lanes[0]);
                lanes[1] = _mm256_fmadd_ps(weights[1], x, lanes[1]);
            }
        }
        for (sums, lanes) in sums.iter_mut().zip(lanes) {
            *sums = [_mm256_add_ps(sums[0], lanes[0]), _mm256_add_ps(sums[1], lanes[1])];
        }
    }
    sums
}
