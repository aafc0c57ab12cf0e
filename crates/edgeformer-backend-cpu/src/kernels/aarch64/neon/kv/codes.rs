//! Blocks of codes of keys and values.

use std::arch::aarch64::*;

use half::f16;

use crate::kernels::kv::Q4_ZERO;

/// How `N` times eight elements under one scale are kept.
pub(super) trait Block<const N: usize> {
    /// Bytes of eight elements.
    const BYTES: usize;

    /// The codes of a block; zeros behind those of a short one.
    ///
    /// # Safety
    /// `block` points to `N * BYTES` bytes.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn codes(block: *const u8) -> [int8x16_t; 2] {
        let mut parts = [vdup_n_s8(0); 4];
        for (part, codes) in parts.iter_mut().enumerate().take(N) {
            // SAFETY: the caller's.
            *codes = unsafe { Self::part(block, part) };
        }
        let [a, b, c, d] = parts;
        [vcombine_s8(a, b), vcombine_s8(c, d)]
    }

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

/// f16 as f32.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn widen([a, b, c, d]: [&f16; 4]) -> float32x4_t {
    let bits = |half: &f16| std::ptr::from_ref(half).cast::<u16>();
    // SAFETY: an f16 is the 16 bits it is kept in.
    let halves = unsafe {
        let halves = vld1_dup_u16(bits(a));
        let halves = vld1_lane_u16::<1>(bits(b), halves);
        let halves = vld1_lane_u16::<2>(bits(c), halves);
        vld1_lane_u16::<3>(bits(d), halves)
    };
    vcvt_f32_f16(vreinterpret_f16_u16(halves))
}
