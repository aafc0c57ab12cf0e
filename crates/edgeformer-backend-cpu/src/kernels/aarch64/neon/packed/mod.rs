//! Products of panels ([`crate::kernels::packed`]).
//!
//! - `codes`, `scales`: what a format's blocks hold
//! - `multiply`: the instructions that multiply bytes, which is where the tables differ
//! - `dot`: the products of a block
//! - `tile`: many tokens; codes are unpacked once for 64 of them
//! - `single`: one token; codes go from memory to registers
//! - `float`: the float formats
//!
//! A (row, token) pair is one lane of one vector. What is added to it, and in which order, is
//! [`dot::add_block`]'s business alone, block after block, in `tile` and in `single`.

mod codes;
mod dot;
mod float;
mod multiply;
mod scales;
mod single;
mod tile;

use std::arch::aarch64::*;

use edgeformer_core::Format;

pub(in crate::kernels::aarch64) use self::codes::Bits;
use self::codes::{Book, Eight, Five, Four, Six};
pub(in crate::kernels::aarch64) use self::multiply::{Long, Multiply};
use self::scales::{Book256, OneScale, ScaleAndMinimum, Scaling, Sixteenths, SuperBlock};
use super::float::{Bf16, F16, F32};
use super::vector;
use crate::kernels::matmul::MatmulFn;
use crate::kernels::packed::{GroupShape, PANEL_ROWS, Panels};
use crate::kernels::{ColumnsMut, Q8Rows};

/// A number of each row of a panel.
type Lanes = [float32x4_t; 4];

/// The product for a format's panels, if it has them: a single token by `One`, more by `Many`.
///
/// It may be called only on machines that have the instructions of both.
pub(in crate::kernels::aarch64) fn matmul<One: Multiply, Many: Multiply>(
    format: Format,
) -> Option<MatmulFn> {
    use MatmulFn::{Float, Quantized};
    Some(match format {
        Format::F32 => Float(float::matmul::<F32>),
        Format::F16 => Float(float::matmul::<F16>),
        Format::BF16 => Float(float::matmul::<Bf16>),
        Format::Q8_0 => Quantized(matmul_of::<One, Many, Eight, OneScale, 0>),
        Format::Q4_0 => Quantized(matmul_of::<One, Many, Four, OneScale, 8>),
        Format::Q4_1 => Quantized(matmul_of::<One, Many, Four, ScaleAndMinimum, 0>),
        Format::Q5_0 => Quantized(matmul_of::<One, Many, Five, OneScale, 16>),
        Format::Q5_1 => Quantized(matmul_of::<One, Many, Five, ScaleAndMinimum, 0>),
        Format::Q4K => Quantized(matmul_of::<One, Many, Four, SuperBlock, 0>),
        Format::Q5K => Quantized(matmul_of::<One, Many, Five, SuperBlock, 0>),
        Format::Q6K => Quantized(matmul_of::<One, Many, Six, Sixteenths, 32>),
        Format::Iq4Nl => Quantized(matmul_of::<One, Many, Book, OneScale, 0>),
        Format::Iq4Xs => Quantized(matmul_of::<One, Many, Book, Book256, 0>),
        Format::Q2K | Format::Q3K => return None,
    })
}

/// The product for codes `B`, `OFFSET` above what they stand for, with scales `S`.
///
/// # Safety
/// The machine has the instructions of `One` and `Many`.
#[target_feature(enable = "neon")]
unsafe fn matmul_of<One: Multiply, Many: Multiply, B: Bits, S: Scaling, const OFFSET: i32>(
    panels: &[u8],
    columns: usize,
    x: Q8Rows<'_>,
    out: &mut ColumnsMut<'_>,
) {
    let panels = Panels::new(panels, out.columns().div_ceil(PANEL_ROWS), columns);
    // SAFETY: the caller's.
    unsafe {
        match x.len() {
            1 => single::matmul::<One, B, S, OFFSET>(&panels, x, out.row_mut(0)),
            _ => tile::matmul::<Many, B, S, OFFSET>(&panels, x, out),
        }
    }
}

/// What the blocks of codes `B` with scales `S` take.
const fn shape<B: Bits, S: Scaling>() -> GroupShape {
    GroupShape { lines: B::LINES, scale_bytes: S::BYTES }
}

/// Writes the results of panel `index`, as far as there is room.
#[inline]
#[target_feature(enable = "neon")]
fn store(lanes: &Lanes, index: usize, out: &mut [f32]) {
    let end = out.len().min((index + 1) * PANEL_ROWS);
    let out = &mut out[index * PANEL_ROWS..end];
    if let Some(all) = out.first_chunk_mut::<PANEL_ROWS>() {
        for (lanes, out) in lanes.iter().zip(all.as_chunks_mut().0) {
            vector::store(*lanes, out);
        }
        return;
    }
    let mut all = [0.0; PANEL_ROWS];
    store(lanes, 0, &mut all);
    out.copy_from_slice(&all[..out.len()]);
}
