//! Many tokens.
//!
//! The loops, from the outside: 64 tokens, panels, 256 columns, up to 4 tokens, blocks, 4 rows. The
//! codes of a panel are unpacked once for the 64 tokens, and stay in the first-level cache with the
//! tokens' codes for these columns. A tile keeps the lanes of all 16 rows in registers, and the
//! tokens' codes of a block; each vector of codes is loaded once for all its tokens.

use std::arch::aarch64::*;

use super::codes::{Bits, Codes};
use super::dot::{X, add_block};
use super::multiply::Multiply;
use super::scales::{Scales, Scaling};
use super::{Lanes, shape, store};
use crate::kernels::packed::{BLOCK, Panel, Panels, SUPER, Token};
use crate::kernels::{ColumnsMut, Q8Rows};

/// Tokens that share unpacked codes.
const TOKENS: usize = 64;
/// Blocks that are unpacked at a time.
const BLOCKS: usize = SUPER / BLOCK;

/// Unpacked blocks of a panel, four rows in each quarter.
struct Unpacked {
    codes: [[Codes; 4]; BLOCKS],
    scales: [[Scales; 4]; BLOCKS],
}

/// # Safety
/// The machine has the instructions of `M`; the panels and the tokens have as many blocks.
#[inline(never)]
#[target_feature(enable = "neon")]
pub(super) unsafe fn matmul<M: Multiply, B: Bits, S: Scaling, const OFFSET: i32>(
    panels: &Panels<'_>,
    x: Q8Rows<'_>,
    out: &mut ColumnsMut<'_>,
) {
    let mut unpacked = Unpacked::new();
    for first in (0..x.len()).step_by(TOKENS) {
        let mut tokens = [Token::NONE; TOKENS];
        let count = TOKENS.min(x.len() - first);
        for (index, token) in tokens[..count].iter_mut().enumerate() {
            *token = Token::new(x, first + index);
        }
        let tokens = &tokens[..count];
        for index in 0..panels.len() {
            let panel = panels.get(index);
            let mut sums = [[vdupq_n_f32(0.0); 4]; TOKENS];
            for block in (0..panels.blocks).step_by(BLOCKS) {
                let count = BLOCKS.min(panels.blocks - block);
                // SAFETY: the panel and the tokens have `count` blocks from `block` on; the machine
                // has the instructions.
                unsafe {
                    unpacked.fill::<M, B, S, OFFSET>(panel, block, count);
                    unpacked.multiply::<M, B, S>(block, count, tokens, &mut sums);
                }
            }
            for (token, sums) in sums[..count].iter().enumerate() {
                store(sums, index, out.row_mut(first + token));
            }
        }
    }
}

impl Unpacked {
    #[inline]
    #[target_feature(enable = "neon")]
    fn new() -> Self {
        let zero = vdupq_n_f32(0.0);
        let scales = Scales { halves: [zero; 2], minima: zero };
        let codes: Codes = [[vdupq_n_s8(0); 4]; 2];
        Self { codes: [[codes; 4]; BLOCKS], scales: [[scales; 4]; BLOCKS] }
    }

    /// Unpacks the group of `count` blocks from block `first` on, codes as what they stand for.
    ///
    /// # Safety
    /// The panel has these blocks.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn fill<M: Multiply, B: Bits, S: Scaling, const OFFSET: i32>(
        &mut self,
        panel: Panel,
        first: usize,
        count: usize,
    ) {
        const { assert!(OFFSET.unsigned_abs() <= 64, "codes without their offset are bytes") };
        let offset = vdupq_n_s8(OFFSET as i8);
        // SAFETY: the panel has the blocks.
        let group = unsafe { panel.group(shape::<B, S>(), first, count) };
        let blocks = self.codes.iter_mut().zip(&mut self.scales).take(count);
        for (index, (codes, scales)) in blocks.enumerate() {
            for (quarter, codes) in codes.iter_mut().enumerate() {
                // SAFETY: the group has block `index`, of sixteen rows; this function runs, so the
                // machine has NEON.
                unsafe {
                    *codes = B::codes(group.block(index), quarter);
                    for codes in codes.iter_mut() {
                        for codes in codes.iter_mut() {
                            *codes = vsubq_s8(*codes, offset);
                        }
                        *codes = M::arrange(*codes);
                    }
                }
            }
            // SAFETY: as above.
            *scales = unsafe { S::scales(group.scales, index) };
        }
    }

    /// Adds the products with the tokens to their lanes.
    ///
    /// # Safety
    /// The machine has the instructions of `M`; the tokens have `count` blocks from block `first`
    /// on.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn multiply<M: Multiply, B: Bits, S: Scaling>(
        &self,
        first: usize,
        count: usize,
        tokens: &[Token],
        sums: &mut [Lanes; TOKENS],
    ) {
        let mut done = 0;
        while done < tokens.len() {
            let (tokens, sums) = (&tokens[done..], &mut sums[done..]);
            // SAFETY: the caller's.
            done += unsafe {
                match tokens.len() {
                    4.. if M::TILE == 4 => self.tile::<M, B, S, 4>(first, count, tokens, sums),
                    2.. => self.tile::<M, B, S, 2>(first, count, tokens, sums),
                    _ => self.tile::<M, B, S, 1>(first, count, tokens, sums),
                }
            };
        }
    }

    /// [`multiply`](Self::multiply) for the first `T` tokens; returns how many these are.
    ///
    /// # Safety
    /// As there.
    #[inline(never)]
    #[target_feature(enable = "neon")]
    unsafe fn tile<M: Multiply, B: Bits, S: Scaling, const T: usize>(
        &self,
        first: usize,
        count: usize,
        tokens: &[Token],
        sums: &mut [Lanes],
    ) -> usize {
        let mut tokens: [Token; T] = *tokens.first_chunk().expect("there are so many tokens");
        for token in &mut tokens {
            // SAFETY: the tokens have block `first`.
            *token = unsafe { token.after_blocks(first) };
        }
        let sums: &mut [Lanes; T] = sums.first_chunk_mut().expect("there are lanes for the tokens");
        // Token by token in memory, quarter by quarter here.
        let mut lanes = [[vdupq_n_f32(0.0); T]; 4];
        for (token, sums) in sums.iter().enumerate() {
            for (lanes, sum) in lanes.iter_mut().zip(sums) {
                lanes[token] = *sum;
            }
        }
        for index in 0..count {
            // SAFETY: the tokens have the block.
            let mut x = [unsafe { X::new(&tokens[0], index) }; T];
            for (x, token) in x.iter_mut().zip(&tokens).skip(1) {
                // SAFETY: as above.
                *x = unsafe { X::new(token, index) };
            }
            let quarters = self.codes[index].iter().zip(&self.scales[index]);
            for ((codes, scales), lanes) in quarters.zip(&mut lanes) {
                // SAFETY: the machine has the instructions.
                unsafe { add_block::<M, B, S, T>(codes, scales, &x, None, lanes) };
            }
        }
        for (token, sums) in sums.iter_mut().enumerate() {
            for (lanes, sum) in lanes.iter().zip(sums) {
                *sum = lanes[token];
            }
        }
        T
    }
}
