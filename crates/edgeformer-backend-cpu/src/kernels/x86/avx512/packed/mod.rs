//! Products of panels ([`crate::kernels::packed`]), built as those of the AVX2 table are, with one
//! vector for all sixteen rows: see there.

mod codes;
mod dot;
mod float;
mod scales;
mod single;
mod tile;

use std::arch::x86_64::*;

use edgeformer_core::Format;

use self::codes::{Bits, Book, Eight, Five, Four, Six};
use self::float::{Bf16, F16, F32};
use self::scales::{Book256, OneScale, ScaleAndMinimum, Scaling, Sixteenths, SuperBlock};
use crate::kernels::matmul::MatmulFn;
use crate::kernels::packed::{GroupShape, PANEL_ROWS, Panels};
use crate::kernels::{ColumnsMut, Q8Rows};

/// The product for a format's panels, if it has them.
pub(super) fn matmul(format: Format) -> Option<MatmulFn> {
    use MatmulFn::{Float, Quantized};
    Some(match format {
        Format::F32 => Float(float::matmul::<F32>),
        Format::F16 => Float(float::matmul::<F16>),
        Format::BF16 => Float(float::matmul::<Bf16>),
        Format::Q8_0 => Quantized(matmul_of::<Eight, OneScale, 128>),
        Format::Q4_0 => Quantized(matmul_of::<Four, OneScale, 8>),
        Format::Q4_1 => Quantized(matmul_of::<Four, ScaleAndMinimum, 0>),
        Format::Q5_0 => Quantized(matmul_of::<Five, OneScale, 16>),
        Format::Q5_1 => Quantized(matmul_of::<Five, ScaleAndMinimum, 0>),
        Format::Q4K => Quantized(matmul_of::<Four, SuperBlock, 0>),
        Format::Q5K => Quantized(matmul_of::<Five, SuperBlock, 0>),
        Format::Q6K => Quantized(matmul_of::<Six, Sixteenths, 32>),
        Format::Iq4Nl => Quantized(matmul_of::<Book, OneScale, 128>),
        Format::Iq4Xs => Quantized(matmul_of::<Book, Book256, 128>),
        Format::Q2K | Format::Q3K => return None,
    })
}
/// The product for codes `B`, `OFFSET` above what they stand for, with scales `S`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
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

/// The lanes of a panel, as far as there is room.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn store(lanes: __m512, out: &mut [f32]) {
    let room = u16::MAX >> (PANEL_ROWS - out.len().min(PANEL_ROWS));
    // SAFETY: the mask leaves those lanes alone that there is no room for.
    unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), room, lanes) };
}
