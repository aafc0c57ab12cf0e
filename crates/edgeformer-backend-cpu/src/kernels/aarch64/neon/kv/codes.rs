//! Blocks of codes of keys and values.

use std::arch::aarch64::*;

use half::f16;

use crate::kernels::kv::Q4_ZERO;

/// How `N` times eight elements under one scale are kept.
pub(super) trait Block<const N: usize> {
    /// Bytes of eight elements.
    const BYTES: usize;

    /// The codes of a block.
    ///
    /// # Safety
    /// `block` points to `N * BYTES` bytes.
    unsafe fn codes(block: *const u8) -> [int8x8_t; N];

    /// Codes `8 * part..8 * part + 8` alone.
    ///
    /// # Safety
    /// As for [`codes`](Self::codes), and `part` is below `N`.
    unsafe fn part(block: *const u8, part: usize) -> int8x8_t;
}

/// A byte an element.
pub(super) struct Q8;

impl<const N: usize> Block<N> for Q8 {
    const BYTES: usize = 8;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn codes(block: *const u8) -> [int8x8_t; N] {
        let mut codes = [vdup_n_s8(0); N];
        for (part, codes) in codes.iter_mut().enumerate() {
            // SAFETY: the caller's.
            *codes = unsafe { <Self as Block<N>>::part(block, part) };
        }
        codes
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn part(block: *const u8, part: usize) -> int8x8_t {
        // SAFETY: the block has these eight bytes.
        unsafe { vld1_s8(block.add(8 * part).cast()) }
    }
}

/// Half a byte an element, the second half of a block in the high halves.
pub(super) struct Q4;

impl<const N: usize> Block<N> for Q4 {
    const BYTES: usize = 4;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn codes(block: *const u8) -> [int8x8_t; N] {
        let mut codes = [vdup_n_s8(0); N];
        for (part, codes) in codes.iter_mut().enumerate() {
            // SAFETY: the caller's.
            *codes = unsafe { <Self as Block<N>>::part(block, part) };
        }
        codes
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn part(block: *const u8, part: usize) -> int8x8_t {
        let low = vdup_n_u8(15);
        let codes = if N == 1 {
            // SAFETY: the block has four bytes; no alignment is needed.
            let packed = vdup_n_u32(unsafe { block.cast::<u32>().read_unaligned() });
            let packed = vreinterpret_u8_u32(packed);
            let (first, last) = (vand_u8(packed, low), vshr_n_u8::<4>(packed));
            vreinterpret_u8_u32(vzip1_u32(vreinterpret_u32_u8(first), vreinterpret_u32_u8(last)))
        } else {
            // SAFETY: the block has `4 * N` bytes, eight from here on.
            let packed = unsafe { vld1_u8(block.add(part % (N / 2) * 8)) };
            if part < N / 2 { vand_u8(packed, low) } else { vshr_n_u8::<4>(packed) }
        };
        vsub_s8(vreinterpret_s8_u8(codes), vdup_n_s8(Q4_ZERO as i8))
    }
}

/// An f16 as f32.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn widen(half: f16) -> f32 {
    vgetq_lane_f32::<0>(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(half.to_bits()))))
}
