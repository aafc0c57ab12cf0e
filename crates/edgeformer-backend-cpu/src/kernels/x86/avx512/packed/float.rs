//! The float formats: a panel against up to eight tokens at a time.
//!
//! Columns are added up in order within 256 of them, then these sums in order: with one running
//! sum, roundings would pile up.

use std::arch::x86_64::*;

use edgeformer_core::Rows;

use super::store;
use crate::kernels::ColumnsMut;
use crate::kernels::packed::{LINE, PANEL_ROWS};

/// Columns whose products are added up by themselves, and that are widened at a time.
const COLUMNS: usize = 256;
/// Tokens that share widened weights.
const TOKENS: usize = 64;
/// Tokens whose lanes are in registers at a time.
const TILE: usize = 8;
/// Panels that are read at the same time for a single token.
const STREAMS: usize = 4;

/// A float format.
pub(super) trait Widen {
    /// Bytes of an element.
    const BYTES: usize;

    /// Sixteen elements.
    ///
    /// # Safety
    /// The machine has AVX-512 F; `16 * BYTES` bytes are readable from `bytes`.
    unsafe fn widen(bytes: *const u8) -> __m512;
}

pub(super) struct F32;

impl Widen for F32 {
    const BYTES: usize = 4;

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn widen(bytes: *const u8) -> __m512 {
        // SAFETY: 64 bytes are readable; no alignment is needed.
        unsafe { _mm512_loadu_ps(bytes.cast()) }
    }
}

pub(super) struct F16;

impl Widen for F16 {
    const BYTES: usize = 2;

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn widen(bytes: *const u8) -> __m512 {
        // SAFETY: 32 bytes are readable; no alignment is needed.
        _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(bytes.cast()) })
    }
}

pub(super) struct Bf16;

impl Widen for Bf16 {
    const BYTES: usize = 2;

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn widen(bytes: *const u8) -> __m512 {
        // SAFETY: 32 bytes are readable; no alignment is needed.
        let halves = _mm512_cvtepu16_epi32(unsafe { _mm256_loadu_si256(bytes.cast()) });
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves))
    }
}

/// Widened weights, column by column.
type Widened = [__m512; COLUMNS];

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
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
    let mut widened: Widened = [_mm512_setzero_ps(); COLUMNS];
    for (group, tokens) in x.data().chunks(TOKENS * columns).enumerate() {
        let count = tokens.len() / columns;
        for (index, panel) in panels.chunks_exact(panel_bytes).enumerate() {
            let mut sums = [_mm512_setzero_ps(); TOKENS];
            let weights =
                panel[..columns * PANEL_ROWS * F::BYTES].chunks(COLUMNS * PANEL_ROWS * F::BYTES);
            for (chunk, weights) in weights.enumerate() {
                let widened = widen::<F>(weights, &mut widened);
                multiply(widened, chunk * COLUMNS, tokens, columns, &mut sums[..count]);
            }
            for (token, &sum) in sums[..count].iter().enumerate() {
                let row = out.row_mut(group * TOKENS + token);
                let end = row.len().min((index + 1) * PANEL_ROWS);
                store(sum, &mut row[index * PANEL_ROWS..end]);
            }
        }
    }
}

/// Columns of a panel as f32.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn widen<'w, F: Widen>(weights: &[u8], widened: &'w mut Widened) -> &'w [__m512] {
    let columns = weights.chunks_exact(PANEL_ROWS * F::BYTES);
    let count = columns.len();
    for (column, widened) in columns.zip(widened.iter_mut()) {
        // SAFETY: a column is sixteen elements; this function runs, so the machine has AVX-512 F.
        *widened = unsafe { F::widen(column.as_ptr()) };
    }
    &widened[..count]
}

/// Adds the products of columns from `first` on with all tokens.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn multiply(weights: &[__m512], first: usize, tokens: &[f32], columns: usize, sums: &mut [__m512]) {
    let mut done = 0;
    while done < sums.len() {
        let token = |index: usize| &tokens[(done + index) * columns + first..][..weights.len()];
        let sums = &mut sums[done..];
        done += match sums.len() {
            TILE.. => tile(weights, std::array::from_fn::<_, TILE, _>(token), sums),
            4.. => tile(weights, std::array::from_fn::<_, 4, _>(token), sums),
            2.. => tile(weights, std::array::from_fn::<_, 2, _>(token), sums),
            _ => tile(weights, [token(0)], sums),
        };
    }
}

/// The tile: `T` tokens, each with as many columns as there are weights. Returns how many.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn tile<const T: usize>(weights: &[__m512], tokens: [&[f32]; T], sums: &mut [__m512]) -> usize {
    let mut lanes = [_mm512_setzero_ps(); T];
    assert!(tokens.iter().all(|token| token.len() == weights.len()), "columns of a tile");
    let tokens = tokens.map(<[f32]>::as_ptr);
    for (column, &weights) in weights.iter().enumerate() {
        for (lanes, token) in lanes.iter_mut().zip(tokens) {
            // SAFETY: every token has as many columns as there are weights.
            let x = _mm512_set1_ps(unsafe { *token.add(column) });
            *lanes = _mm512_fmadd_ps(weights, x, *lanes);
        }
    }
    for (sum, lanes) in sums.iter_mut().zip(lanes) {
        *sum = _mm512_add_ps(*sum, lanes);
    }
    T
}

/// The product with a single token, straight from the panels; additions are in the order of
/// [`tile`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn matmul_one<F: Widen>(panels: &[u8], panel_bytes: usize, x: &[f32], out: &mut [f32]) {
    let count = panels.len() / panel_bytes;
    let length = count / STREAMS;
    let mut put = |index: usize, sums: &__m512| {
        let end = out.len().min((index + 1) * PANEL_ROWS);
        store(*sums, &mut out[index * PANEL_ROWS..end]);
    };
    for index in 0..length {
        let sums =
            multiply_streams::<F, STREAMS>(&panels[index * panel_bytes..], length * panel_bytes, x);
        sums.iter().enumerate().for_each(|(stream, sums)| put(index + stream * length, sums));
    }
    for index in STREAMS * length..count {
        let [sums] = multiply_streams::<F, 1>(&panels[index * panel_bytes..], 0, x);
        put(index, &sums);
    }
}

/// The products of `P` panels, `stride` bytes apart.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn multiply_streams<F: Widen, const P: usize>(
    panels: &[u8],
    stride: usize,
    x: &[f32],
) -> [__m512; P] {
    assert!(panels.len() >= (P - 1) * stride + x.len() * PANEL_ROWS * F::BYTES, "bytes of panels");
    let mut sums = [_mm512_setzero_ps(); P];
    for (group, x) in x.chunks(COLUMNS).enumerate() {
        let mut lanes = [_mm512_setzero_ps(); P];
        for (column, &x) in x.iter().enumerate() {
            let x = _mm512_set1_ps(x);
            let offset = (group * COLUMNS + column) * PANEL_ROWS * F::BYTES;
            for (panel, lanes) in lanes.iter_mut().enumerate() {
                // SAFETY: there are `P` panels, each with as many columns as `x` has; this
                // function runs, so the machine has AVX-512 F.
                let weights = unsafe { F::widen(panels.as_ptr().add(panel * stride + offset)) };
                *lanes = _mm512_fmadd_ps(weights, x, *lanes);
            }
        }
        for (sum, lanes) in sums.iter_mut().zip(lanes) {
            *sum = _mm512_add_ps(*sum, lanes);
        }
    }
    sums
}
