//! Products of float weights with f32 activations.
//!
//! The loops, from the outside: 32 tokens, 4 weight rows, 512 columns, 3 tokens, vectors. The
//! weights of a tile are widened to f32 once for 32 tokens. The eight lanes of each (row, token)
//! pair are kept from panel to panel and added up at the end: the order of additions is the same
//! for every shape.

use std::arch::x86_64::*;

use edgeformer_core::Rows;

use super::vector::{self, LANES, load, padded};
use crate::kernels::ColumnsMut;

/// Weight rows of a tile.
const ROWS: usize = 4;
/// Tokens that share a widened tile of weights.
const TOKENS: usize = 32;
/// Tokens whose lanes, with those of all rows, are in registers at a time.
const TILE: usize = 3;
/// Vectors of a row of a panel.
const VECTORS: usize = 64;
/// Elements of a row of a panel.
const ELEMENTS: usize = VECTORS * LANES;

/// A float format.
pub(super) trait Widen {
    /// Bytes of an element.
    const BYTES: usize;

    /// Eight elements.
    ///
    /// # Safety
    /// The machine has AVX2, FMA and F16C; `8 * BYTES` bytes are readable from `bytes`.
    unsafe fn widen(bytes: *const u8) -> __m256;
}

pub(super) struct F32;

impl Widen for F32 {
    const BYTES: usize = 4;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn widen(bytes: *const u8) -> __m256 {
        // SAFETY: 32 bytes are readable; no alignment is needed.
        unsafe { _mm256_loadu_ps(bytes.cast()) }
    }
}

pub(super) struct F16;

impl Widen for F16 {
    const BYTES: usize = 2;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn widen(bytes: *const u8) -> __m256 {
        // SAFETY: 16 bytes are readable; no alignment is needed.
        _mm256_cvtph_ps(unsafe { _mm_loadu_si128(bytes.cast()) })
    }
}

pub(super) struct Bf16;

impl Widen for Bf16 {
    const BYTES: usize = 2;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn widen(bytes: *const u8) -> __m256 {
        // SAFETY: 16 bytes are readable; no alignment is needed.
        let halves = _mm256_cvtepu16_epi32(unsafe { _mm_loadu_si128(bytes.cast()) });
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves))
    }
}

/// Widened weights: `[vector][row]`.
type Panel = [[__m256; ROWS]; VECTORS];
/// Lanes of every pair: `[token][row]`.
type Sums = [[__m256; ROWS]; TOKENS];

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn matmul<F: Widen>(
    weights: &[u8],
    columns: usize,
    x: Rows<'_>,
    out: &mut ColumnsMut<'_>,
) {
    if x.len() == 1 {
        return matmul_one::<F>(weights, x.data(), out.row_mut(0));
    }
    let row_bytes = columns * F::BYTES;
    let mut sums: Sums = [[_mm256_setzero_ps(); ROWS]; TOKENS];
    let mut panel: Panel = [[_mm256_setzero_ps(); ROWS]; VECTORS];
    for x in x.data().chunks(TOKENS * columns).enumerate() {
        let (first, x) = (x.0 * TOKENS, Rows::new(x.1, columns));
        for (tile, rows) in weights.chunks(ROWS * row_bytes).enumerate() {
            for start in (0..columns).step_by(ELEMENTS) {
                let len = ELEMENTS.min(columns - start);
                for (row, bytes) in rows.chunks_exact(row_bytes).enumerate() {
                    let bytes = &bytes[start * F::BYTES..][..len * F::BYTES];
                    fill::<F>(bytes, row, &mut panel);
                }
                multiply_panel(&panel, x, start..start + len, &mut sums);
            }
            let rows = rows.len() / row_bytes;
            for (token, sums) in sums.iter_mut().take(x.len()).enumerate() {
                for (row, sum) in sums.iter().take(rows).enumerate() {
                    out.set(first + token, tile * ROWS + row, vector::sum(*sum));
                }
                *sums = [_mm256_setzero_ps(); ROWS];
            }
        }
    }
}

/// The product with a single token, straight from the weights. Lanes add up in the same order as
/// in [`multiply`]: panel after panel, vector after vector.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn matmul_one<F: Widen>(weights: &[u8], x: &[f32], out: &mut [f32]) {
    let row_bytes = x.len() * F::BYTES;
    let tiles = weights.chunks(ROWS * row_bytes).zip(out.chunks_mut(ROWS));
    for (weights, out) in tiles {
        if let [a, b, c, d] = out {
            let row = |index: usize| &weights[index * row_bytes..][..row_bytes];
            [*a, *b, *c, *d] = multiply_one::<F, ROWS>([row(0), row(1), row(2), row(3)], x);
            continue;
        }
        for (row, out) in weights.chunks_exact(row_bytes).zip(out) {
            [*out] = multiply_one::<F, 1>([row], x);
        }
    }
}

/// `R` weight rows of `x.len()` elements times a token.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply_one<F: Widen, const R: usize>(rows: [&[u8]; R], x: &[f32]) -> [f32; R] {
    assert!(rows.iter().all(|row| row.len() == x.len() * F::BYTES));
    let mut lanes = [_mm256_setzero_ps(); R];
    let (vectors, tail) = x.as_chunks::<LANES>();
    for (index, x) in vectors.iter().enumerate() {
        let x = load(x);
        for (lane, row) in lanes.iter_mut().zip(rows) {
            // SAFETY: the row has as many elements as `x`, so eight from `8 * index`.
            let weight = unsafe { F::widen(row.as_ptr().add(index * LANES * F::BYTES)) };
            *lane = _mm256_fmadd_ps(weight, x, *lane);
        }
    }
    if !tail.is_empty() {
        let x = load(&padded(tail));
        for (lane, row) in lanes.iter_mut().zip(rows) {
            *lane = _mm256_fmadd_ps(
                widen_tail::<F>(&row[vectors.len() * LANES * F::BYTES..]),
                x,
                *lane,
            );
        }
    }
    let mut out = [0.0; R];
    out.iter_mut().zip(lanes).for_each(|(out, lanes)| *out = vector::sum(lanes));
    out
}

/// Fewer than eight elements, zeros behind them.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn widen_tail<F: Widen>(bytes: &[u8]) -> __m256 {
    let mut last = [0; LANES * 4];
    last[..bytes.len()].copy_from_slice(bytes);
    // SAFETY: an element has at most four bytes; the features are there.
    unsafe { F::widen(last.as_ptr()) }
}

/// Widens a part of a weight row into the panel, zeros behind it if it ends within a vector.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn fill<F: Widen>(bytes: &[u8], row: usize, panel: &mut Panel) {
    let whole = bytes.chunks_exact(LANES * F::BYTES);
    let tail = whole.remainder();
    let mut vectors = panel.iter_mut();
    for (bytes, rows) in whole.zip(vectors.by_ref()) {
        // SAFETY: a chunk has eight elements; the features are there.
        rows[row] = unsafe { F::widen(bytes.as_ptr()) };
    }
    if let (false, Some(rows)) = (tail.is_empty(), vectors.next()) {
        rows[row] = widen_tail::<F>(tail);
    }
}

/// Adds the products of a panel with these columns of all tokens to their lanes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply_panel(panel: &Panel, x: Rows<'_>, columns: std::ops::Range<usize>, sums: &mut Sums) {
    let mut token = 0;
    for sums in sums[..x.len()].chunks_mut(TILE) {
        let part = |offset: usize| &x.row(token + offset)[columns.clone()];
        match sums.len() {
            1 => multiply(panel, [part(0)], sums),
            2 => multiply(panel, [part(0), part(1)], sums),
            _ => multiply(panel, [part(0), part(1), part(2)], sums),
        }
        token += TILE;
    }
}

/// The tile: `T` tokens of equal length, at most a panel's, by four rows.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply<const T: usize>(panel: &Panel, tokens: [&[f32]; T], sums: &mut [[__m256; ROWS]]) {
    let mut lanes: [[__m256; ROWS]; T] =
        *sums.first_chunk().expect("there are lanes for the tokens");
    let len = tokens.iter().map(|x| x.len()).min().unwrap_or(0).min(ELEMENTS);
    for (index, weights) in panel.iter().take(len / LANES).enumerate() {
        for (lanes, x) in lanes.iter_mut().zip(tokens) {
            // SAFETY: `index < len / LANES`, and every token has at least `len` values.
            let x = unsafe { _mm256_loadu_ps(x.as_ptr().add(index * LANES)) };
            for (lane, &weight) in lanes.iter_mut().zip(weights) {
                *lane = _mm256_fmadd_ps(weight, x, *lane);
            }
        }
    }
    if !len.is_multiple_of(LANES) {
        let start = len / LANES * LANES;
        for (lanes, x) in lanes.iter_mut().zip(tokens) {
            let x = load(&padded(&x[start..]));
            for (lane, &weight) in lanes.iter_mut().zip(&panel[len / LANES]) {
                *lane = _mm256_fmadd_ps(weight, x, *lane);
            }
        }
    }
    sums[..T].copy_from_slice(&lanes);
}
