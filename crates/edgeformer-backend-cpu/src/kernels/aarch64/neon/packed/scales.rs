//! Scales and minima of a block.

use std::arch::aarch64::*;

use crate::kernels::packed::PANEL_ROWS;

/// The scales of a block for four rows, a lane a row.
#[derive(Clone, Copy)]
pub(super) struct Scales {
    /// Of the first and the last 16 columns; equal for formats with one scale a block.
    pub halves: [float32x4_t; 2],
    /// What the sum of the activations is multiplied with, for formats with minima; what comes of
    /// it is added or, for [`Scaling::SUBTRACTED`], taken off.
    pub minima: float32x4_t,
}

/// How scales are stored.
pub(super) trait Scaling {
    /// Bytes of the scales of eight blocks, whole lines.
    const BYTES: usize;
    /// Whether a block has two scales.
    const HALVES: bool = false;
    /// Whether there are minima.
    const MINIMA: bool = false;
    /// Whether minima are subtracted.
    const SUBTRACTED: bool = false;

    /// The scales of block `index` of a group, four rows in each.
    ///
    /// # Safety
    /// `scales` points to the scales of a group that has such a block.
    unsafe fn scales(scales: *const u8, index: usize) -> [Scales; 4];
}

/// A number of each row, four rows in each vector.
type Rows = [float32x4_t; 4];

#[inline]
#[target_feature(enable = "neon")]
fn symmetric(low: Rows, high: Rows) -> [Scales; 4] {
    let zero = vdupq_n_f32(0.0);
    let row = |at: usize| Scales { halves: [low[at], high[at]], minima: zero };
    [row(0), row(1), row(2), row(3)]
}

#[inline]
#[target_feature(enable = "neon")]
fn with_minima(scales: Rows, minima: Rows) -> [Scales; 4] {
    let row = |at: usize| Scales { halves: [scales[at]; 2], minima: minima[at] };
    [row(0), row(1), row(2), row(3)]
}

#[inline]
#[target_feature(enable = "neon")]
fn multiply(a: Rows, b: Rows) -> Rows {
    let row = |at: usize| vmulq_f32(a[at], b[at]);
    [row(0), row(1), row(2), row(3)]
}

/// An f16 scale a block.
pub(super) struct OneScale;

impl Scaling for OneScale {
    const BYTES: usize = 256;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn scales(scales: *const u8, index: usize) -> [Scales; 4] {
        // SAFETY: every block has sixteen scales.
        let scales = unsafe { halves(scales, 32 * index) };
        symmetric(scales, scales)
    }
}

/// An f16 scale and an f16 minimum a block.
pub(super) struct ScaleAndMinimum;

impl Scaling for ScaleAndMinimum {
    const BYTES: usize = 512;
    const MINIMA: bool = true;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn scales(scales: *const u8, index: usize) -> [Scales; 4] {
        // SAFETY: every block has sixteen scales and sixteen minima.
        unsafe { with_minima(halves(scales, 64 * index), halves(scales, 64 * index + 32)) }
    }
}

/// The 6-bit scales and minima of Q4_K and Q5_K.
pub(super) struct SuperBlock;

impl Scaling for SuperBlock {
    const BYTES: usize = 320;
    const MINIMA: bool = true;
    const SUBTRACTED: bool = true;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn scales(scales: *const u8, index: usize) -> [Scales; 4] {
        let block = 64 + index * 32;
        // SAFETY: a group begins with two times sixteen f16 numbers, then every block two times
        // sixteen bytes.
        unsafe {
            let scale = multiply(halves(scales, 0), unsigned(scales, block));
            with_minima(scale, multiply(halves(scales, 32), unsigned(scales, block + 16)))
        }
    }
}

/// The 8-bit scales of Q6_K, one for 16 columns.
pub(super) struct Sixteenths;

impl Scaling for Sixteenths {
    const BYTES: usize = 320;
    const HALVES: bool = true;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn scales(scales: *const u8, index: usize) -> [Scales; 4] {
        let block = 32 + index * 32;
        // SAFETY: a group begins with sixteen f16 numbers, then every block two times sixteen
        // bytes.
        unsafe {
            let shared = halves(scales, 0);
            let low = multiply(shared, signed(scales, block));
            symmetric(low, multiply(shared, signed(scales, block + 16)))
        }
    }
}

/// The 6-bit scales of IQ4_XS.
pub(super) struct Book256;

impl Scaling for Book256 {
    const BYTES: usize = 192;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn scales(scales: *const u8, index: usize) -> [Scales; 4] {
        // SAFETY: a group begins with sixteen f16 numbers, then every block sixteen bytes.
        let scales = unsafe { multiply(halves(scales, 0), signed(scales, 32 + index * 16)) };
        symmetric(scales, scales)
    }
}

/// The sixteen f16 numbers at an offset.
///
/// # Safety
/// There are sixteen.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn halves(scales: *const u8, offset: usize) -> Rows {
    // SAFETY: 32 bytes are readable there; no alignment is needed.
    let (low, high) =
        unsafe { (vld1q_u8(scales.add(offset)), vld1q_u8(scales.add(offset + PANEL_ROWS))) };
    let (low, high) = (vreinterpretq_f16_u8(low), vreinterpretq_f16_u8(high));
    [
        vcvt_f32_f16(vget_low_f16(low)),
        vcvt_high_f32_f16(low),
        vcvt_f32_f16(vget_low_f16(high)),
        vcvt_high_f32_f16(high),
    ]
}

/// The sixteen unsigned bytes at an offset.
///
/// # Safety
/// There are sixteen.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn unsigned(scales: *const u8, offset: usize) -> Rows {
    // SAFETY: 16 bytes are readable there.
    let bytes = unsafe { vld1q_u8(scales.add(offset)) };
    let (low, high) = (vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes));
    [
        vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))),
        vcvtq_f32_u32(vmovl_high_u16(low)),
        vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))),
        vcvtq_f32_u32(vmovl_high_u16(high)),
    ]
}

/// The sixteen signed bytes at an offset.
///
/// # Safety
/// There are sixteen.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn signed(scales: *const u8, offset: usize) -> Rows {
    // SAFETY: 16 bytes are readable there.
    let bytes = unsafe { vld1q_s8(scales.add(offset).cast()) };
    let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
    [
        vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
        vcvtq_f32_s32(vmovl_high_s16(low)),
        vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
        vcvtq_f32_s32(vmovl_high_s16(high)),
    ]
}
