//! The products of a block.

use std::arch::aarch64::*;

use super::codes::{Bits, Codes};
use super::multiply::Multiply;
use super::scales::{Scales, Scaling};
use crate::kernels::packed::Token;

/// Parts of a block that have a scale of their own.
const fn parts<S: Scaling>() -> usize {
    if S::HALVES { 2 } else { 1 }
}

/// A block of the activations of a token.
#[derive(Clone, Copy)]
pub(super) struct X {
    codes: [int8x16_t; 2],
    scale: f32,
    sum: f32,
}

impl X {
    /// Block `index` of a token.
    ///
    /// # Safety
    /// The token has such a block.
    #[inline]
    #[target_feature(enable = "neon")]
    pub unsafe fn new(token: &Token, index: usize) -> Self {
        // SAFETY: the token has the block, of 32 codes.
        unsafe {
            let codes = token.block_codes(index);
            Self {
                codes: [vld1q_s8(codes), vld1q_s8(codes.add(16))],
                scale: token.scale(index),
                sum: token.sum(index),
            }
        }
    }

    /// What the offset of the codes contributes to the products, for each part of the block.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn excess<S: Scaling, const OFFSET: i32>(&self) -> [int32x4_t; 2] {
        let low = OFFSET * i32::from(vaddlvq_s8(self.codes[0]));
        let high = OFFSET * i32::from(vaddlvq_s8(self.codes[1]));
        match S::HALVES {
            true => [vdupq_n_s32(low), vdupq_n_s32(high)],
            false => [vdupq_n_s32(low + high); 2],
        }
    }
}

/// Adds the products of a block's codes, those of four rows, with a block of `T` tokens to their
/// lanes. `excess` is that of the tokens; codes without an offset have none.
///
/// Products of codes are integers; their sums are below 2^24 and so exact as floats.
///
/// # Safety
/// The machine has the instructions of `M`.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn add_block<M: Multiply, B: Bits, S: Scaling, const T: usize>(
    codes: &Codes,
    scales: &Scales,
    x: &[X; T],
    excess: Option<&[[int32x4_t; 2]; T]>,
    lanes: &mut [float32x4_t; T],
) {
    for part in 0..parts::<S>() {
        // SAFETY: the machine has the instructions.
        let mut products = unsafe {
            if S::HALVES {
                let mut half = [[x[0].codes[part]]; T];
                half.iter_mut().zip(x).for_each(|(half, x)| *half = [x.codes[part]]);
                M::sums::<B, 1, T>(&[codes[part]], &half)
            } else {
                let mut whole = [x[0].codes; T];
                whole.iter_mut().zip(x).for_each(|(whole, x)| *whole = x.codes);
                M::sums::<B, 2, T>(codes, &whole)
            }
        };
        for (token, lanes) in lanes.iter_mut().enumerate() {
            if let Some(excess) = excess {
                products[token] = vsubq_s32(products[token], excess[token][part]);
            }
            let centred = vmulq_n_f32(vcvtq_f32_s32(products[token]), x[token].scale);
            *lanes = vfmaq_f32(*lanes, scales.halves[part], centred);
        }
    }
    if S::MINIMA {
        for (lanes, x) in lanes.iter_mut().zip(x) {
            *lanes = match S::SUBTRACTED {
                true => vfmsq_n_f32(*lanes, scales.minima, x.sum),
                false => vfmaq_n_f32(*lanes, scales.minima, x.sum),
            };
        }
    }
}
