//! Products of float weights, as the file holds them, with f32 activations.
//!
//! The loops, from the outside: 4 weight rows, 2 tokens, vectors. A (row, token) pair keeps eight
//! lanes, added up at the end in the order of the scalar table: the order of additions is the same
//! for every shape.

use std::arch::aarch64::*;

use edgeformer_core::Rows;

use super::vector::{load_eight, padded, sum_eight};
use crate::kernels::ColumnsMut;

/// Weight rows of a tile.
const ROWS: usize = 4;
/// Elements of a vector pair.
const ELEMENTS: usize = 8;

/// A float format.
pub(super) trait Widen {
    /// Bytes of an element.
    const BYTES: usize;

    /// Eight elements.
    ///
    /// # Safety
    /// `8 * BYTES` bytes are readable from `bytes`.
    unsafe fn widen(bytes: *const u8) -> [float32x4_t; 2];
}

pub(super) struct F32;

impl Widen for F32 {
    const BYTES: usize = 4;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn widen(bytes: *const u8) -> [float32x4_t; 2] {
        // SAFETY: 32 bytes are readable.
        let (low, high) = unsafe { (vld1q_u8(bytes), vld1q_u8(bytes.add(16))) };
        [vreinterpretq_f32_u8(low), vreinterpretq_f32_u8(high)]
    }
}

pub(super) struct F16;

impl Widen for F16 {
    const BYTES: usize = 2;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn widen(bytes: *const u8) -> [float32x4_t; 2] {
        // SAFETY: 16 bytes are readable.
        let halves = vreinterpretq_f16_u8(unsafe { vld1q_u8(bytes) });
        [vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves)]
    }
}

pub(super) struct Bf16;

impl Widen for Bf16 {
    const BYTES: usize = 2;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn widen(bytes: *const u8) -> [float32x4_t; 2] {
        // SAFETY: 16 bytes are readable.
        let halves = vreinterpretq_u16_u8(unsafe { vld1q_u8(bytes) });
        let low = vshll_n_u16::<16>(vget_low_u16(halves));
        [vreinterpretq_f32_u32(low), vreinterpretq_f32_u32(vshll_high_n_u16::<16>(halves))]
    }
}

#[target_feature(enable = "neon")]
pub(super) fn matmul<F: Widen>(
    weights: &[u8],
    columns: usize,
    x: Rows<'_>,
    out: &mut ColumnsMut<'_>,
) {
    let row_bytes = columns * F::BYTES;
    for (tile, weights) in weights.chunks(ROWS * row_bytes).enumerate() {
        let first = tile * ROWS;
        for token in (0..x.len()).step_by(2) {
            let pair = [x.row(token), x.row((token + 1).min(x.len() - 1))];
            let mut put = |row: usize, sums: &[f32]| {
                for (at, sum) in sums.iter().enumerate().take(x.len() - token) {
                    out.set(token + at, first + row, *sum);
                }
            };
            let row = |index: usize| &weights[index * row_bytes..][..row_bytes];
            let [one, _] = pair;
            match (weights.len() / row_bytes == ROWS, token + 1 < x.len()) {
                (true, true) => multiply::<F, ROWS, 2>(std::array::from_fn(row), pair)
                    .iter()
                    .enumerate()
                    .for_each(|(at, sums)| put(at, sums)),
                (true, false) => multiply::<F, ROWS, 1>(std::array::from_fn(row), [one])
                    .iter()
                    .enumerate()
                    .for_each(|(at, sums)| put(at, sums)),
                (false, _) => {
                    for (at, row) in weights.chunks_exact(row_bytes).enumerate() {
                        let [sums] = multiply::<F, 1, 2>([row], pair);
                        put(at, &sums);
                    }
                }
            }
        }
    }
}

/// `R` weight rows times `T` tokens of as many elements.
#[inline]
#[target_feature(enable = "neon")]
fn multiply<F: Widen, const R: usize, const T: usize>(
    rows: [&[u8]; R],
    tokens: [&[f32]; T],
) -> [[f32; T]; R] {
    let columns = tokens[0].len();
    assert!(rows.iter().all(|row| row.len() == columns * F::BYTES), "bytes of the rows");
    let mut lanes = [[[vdupq_n_f32(0.0); 2]; T]; R];
    let whole = columns / ELEMENTS * ELEMENTS;
    let mut x = [[vdupq_n_f32(0.0); 2]; T];
    for index in 0..whole / ELEMENTS {
        for (x, token) in x.iter_mut().zip(tokens) {
            let eight = &token[index * ELEMENTS..][..ELEMENTS];
            *x = load_eight(eight.first_chunk().expect("eight elements"));
        }
        for (row, lanes) in rows.iter().zip(&mut lanes) {
            // SAFETY: the row has as many elements as tokens have, so eight from `8 * index`.
            let weights = unsafe { F::widen(row.as_ptr().add(index * ELEMENTS * F::BYTES)) };
            add(weights, &x, lanes);
        }
    }
    if whole < columns {
        for (x, token) in x.iter_mut().zip(tokens) {
            *x = load_eight(&padded(&token[whole..]));
        }
        for (row, lanes) in rows.iter().zip(&mut lanes) {
            let mut bytes = [0; 4 * ELEMENTS];
            let tail = &row[whole * F::BYTES..];
            bytes[..tail.len()].copy_from_slice(tail);
            // SAFETY: elements have at most four bytes.
            add(unsafe { F::widen(bytes.as_ptr()) }, &x, lanes);
        }
    }
    lanes.map(|lanes| lanes.map(|lanes| sum_eight(lanes)))
}

/// Adds the products of eight weights with eight elements of each token.
#[inline]
#[target_feature(enable = "neon")]
fn add<const T: usize>(
    weights: [float32x4_t; 2],
    x: &[[float32x4_t; 2]; T],
    lanes: &mut [[float32x4_t; 2]; T],
) {
    for (lanes, x) in lanes.iter_mut().zip(x) {
        for half in 0..2 {
            lanes[half] = vfmaq_f32(lanes[half], weights[half], x[half]);
        }
    }
}
