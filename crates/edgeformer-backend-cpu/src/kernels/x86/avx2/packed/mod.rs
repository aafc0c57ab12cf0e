//! Products of panels ([`crate::kernels::packed`]).
//!
//! - `codes`, `scales`: what a format's blocks hold, eight rows at a time
//! - `dot`: the products of a block, with their scales
//! - `products`: sums of products of codes, by the instructions that there are
//! - `tile`: many tokens; codes are unpacked once for 96 of them
//! - `single`: one token; codes go from memory to registers
//! - `float`: the float formats
//!
//! A (row, token) pair is one lane of one vector. What is added to it, and in which order, is
//! [`dot::add_block`]'s business alone, block after block, in `tile` and in `single`.

mod codes;
mod dot;
mod float;
mod products;
mod scales;
mod single;
mod tile;

use edgeformer_core::Format;

use self::codes::{Bits, Book, Eight, Five, Four, Six, Unsigned};
use self::products::{Dot, Vpdpbusd};
use self::scales::{Book256, OneScale, ScaleAndMinimum, Scaling, Sixteenths, SuperBlock};
use super::float::{Bf16, F16, F32};
use crate::kernels::matmul::MatmulFn;
use crate::kernels::packed::{GroupShape, PANEL_ROWS, Panels};
use crate::kernels::{ColumnsMut, Q8Rows};

/// Rows of a vector: half a panel.
const ROWS: usize = 8;

/// The product for a format's panels, if it has them.
pub(in crate::kernels::x86) fn matmul(format: Format) -> Option<MatmulFn> {
    use MatmulFn::{Float, Quantized};
    Some(match format {
        Format::F32 => Float(float::matmul::<F32>),
        Format::F16 => Float(float::matmul::<F16>),
        Format::BF16 => Float(float::matmul::<Bf16>),
        Format::Q8_0 => Quantized(matmul_of::<Eight, OneScale, 0>),
        Format::Q4_0 => Quantized(matmul_of::<Four, OneScale, 8>),
        Format::Q4_1 => Quantized(matmul_of::<Four, ScaleAndMinimum, 0>),
        Format::Q5_0 => Quantized(matmul_of::<Five, OneScale, 16>),
        Format::Q5_1 => Quantized(matmul_of::<Five, ScaleAndMinimum, 0>),
        Format::Q4K => Quantized(matmul_of::<Four, SuperBlock, 0>),
        Format::Q5K => Quantized(matmul_of::<Five, SuperBlock, 0>),
        Format::Q6K => Quantized(matmul_of::<Six, Sixteenths, 32>),
        Format::Iq4Nl => Quantized(matmul_of::<Book, OneScale, 0>),
        Format::Iq4Xs => Quantized(matmul_of::<Book, Book256, 0>),
        Format::Q2K | Format::Q3K => return None,
    })
}

/// [`matmul`] for machines that have AVX-VNNI.
pub(in crate::kernels::x86) fn matmul_vnni(format: Format) -> Option<MatmulFn> {
    matmul_dots::<Vpdpbusd>(format)
}

/// The same where other instructions do what that one does.
#[cfg(test)]
pub(in crate::kernels::x86) fn matmul_emulated(format: Format) -> Option<MatmulFn> {
    matmul_dots::<self::products::Emulated>(format)
}

/// [`matmul`] for machines that have the instruction `D`.
fn matmul_dots<D: Dot>(format: Format) -> Option<MatmulFn> {
    use MatmulFn::Quantized;
    Some(match format {
        Format::F32 | Format::F16 | Format::BF16 => return matmul(format),
        Format::Q8_0 => Quantized(matmul_of::<Unsigned<Eight, D>, OneScale, 128>),
        Format::Q4_0 => Quantized(matmul_of::<Unsigned<Four, D>, OneScale, 8>),
        Format::Q4_1 => Quantized(matmul_of::<Unsigned<Four, D>, ScaleAndMinimum, 0>),
        Format::Q5_0 => Quantized(matmul_of::<Unsigned<Five, D>, OneScale, 16>),
        Format::Q5_1 => Quantized(matmul_of::<Unsigned<Five, D>, ScaleAndMinimum, 0>),
        Format::Q4K => Quantized(matmul_of::<Unsigned<Four, D>, SuperBlock, 0>),
        Format::Q5K => Quantized(matmul_of::<Unsigned<Five, D>, SuperBlock, 0>),
        Format::Q6K => Quantized(matmul_of::<Unsigned<Six, D>, Sixteenths, 32>),
        Format::Iq4Nl => Quantized(matmul_of::<Unsigned<Book, D>, OneScale, 128>),
        Format::Iq4Xs => Quantized(matmul_of::<Unsigned<Book, D>, Book256, 128>),
        Format::Q2K | Format::Q3K => return None,
    })
}

/// The product for codes `B`, `OFFSET` above what they stand for, with scales `S`.
#[target_feature(enable = "avx2,fma,f16c")]
fn matmul_of<B: Bits, S: Scaling, const OFFSET: i32>(
    panels: &[u8],
    columns: usize,
    x: Q8Rows<'_>,
    out: &mut ColumnsMut<'_>,
) {
    let panels = Panels::new(panels, out.columns().div_ceil(PANEL_ROWS), columns);
    match x.len() {
        1 => single::matmul::<B, S, OFFSET>(&panels, x, out.row_mut(0)),
        _ => tile::matmul::<B, S, OFFSET>(&panels, x, out),
    }
}

/// What the blocks of codes `B` with scales `S` take.
const fn shape<B: Bits, S: Scaling>() -> GroupShape {
    GroupShape { lines: B::LINES, scale_bytes: S::BYTES }
}
