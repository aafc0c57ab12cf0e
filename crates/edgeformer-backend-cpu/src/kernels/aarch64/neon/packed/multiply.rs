//! Products of bytes: what the instruction sets of ARM differ in.

use std::arch::aarch64::*;

use super::codes::Bits;

/// Multiplies codes of four rows with those of tokens.
///
/// The results are integers and exact: all implementations give the same.
pub(in crate::kernels::aarch64) trait Multiply {
    /// Tokens whose lanes are in registers at a time: 2 or 4.
    const TILE: usize;

    /// Codes of four rows in the order that [`sums`](Self::sums) wants; as they come, each vector
    /// has four columns of each row.
    ///
    /// # Safety
    /// The machine has NEON.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn arrange(codes: [int8x16_t; 4]) -> [int8x16_t; 4] {
        codes
    }

    /// For every token the sums of the products of `N` times 16 columns with four rows. `B`
    /// says how large codes are.
    ///
    /// # Safety
    /// The machine has the instructions.
    unsafe fn sums<B: Bits, const N: usize, const T: usize>(
        codes: &[[int8x16_t; 4]; N],
        x: &[[int8x16_t; N]; T],
    ) -> [int32x4_t; T];
}

/// What every 64-bit ARM has: products in 16 bits.
pub(in crate::kernels::aarch64) struct Long;

impl Multiply for Long {
    const TILE: usize = 2;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn sums<B: Bits, const N: usize, const T: usize>(
        codes: &[[int8x16_t; 4]; N],
        x: &[[int8x16_t; N]; T],
    ) -> [int32x4_t; T] {
        let mut sums = [vdupq_n_s32(0); T];
        for (half, codes) in codes.iter().enumerate() {
            for (sum, x) in sums.iter_mut().zip(x) {
                let x = vreinterpretq_s32_s8(x[half]);
                let x = [
                    vreinterpretq_s8_s32(vdupq_laneq_s32::<0>(x)),
                    vreinterpretq_s8_s32(vdupq_laneq_s32::<1>(x)),
                    vreinterpretq_s8_s32(vdupq_laneq_s32::<2>(x)),
                    vreinterpretq_s8_s32(vdupq_laneq_s32::<3>(x)),
                ];
                for first in (0..4).step_by(B::ADDS) {
                    let (a, b) = (codes[first], x[first]);
                    let mut low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
                    let mut high = vmull_high_s8(a, b);
                    for step in first + 1..first + B::ADDS {
                        let (a, b) = (codes[step], x[step]);
                        low = vmlal_s8(low, vget_low_s8(a), vget_low_s8(b));
                        high = vmlal_high_s8(high, a, b);
                    }
                    // Of each row two neighbouring numbers, then one.
                    *sum = vpadalq_s16(*sum, vpaddq_s16(low, high));
                }
            }
        }
        sums
    }
}
