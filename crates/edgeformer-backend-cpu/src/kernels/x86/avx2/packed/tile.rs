//! Many tokens.
//!
//! The loops, from the outside: 96 tokens, panels, 256 columns, 3 tokens, blocks. The codes of a
//! panel are unpacked once for the 96 tokens, and stay in the first-level cache with the tokens'
//! codes for these columns. Both halves of a panel meet the same three broadcast activations: a
//! tile of 8 rows and 6 tokens would load half as much again.

use std::arch::x86_64::*;

use super::codes::{Bits, Codes};
use super::dot::add_block;
use super::scales::{Scales, Scaling};
use super::{ROWS, shape};
use crate::kernels::packed::{BLOCK, Excess, LINE, PANEL_ROWS, Panel, Panels, SUPER, Token};
use crate::kernels::x86::avx2::vector::{self, ask_for};
use crate::kernels::{ColumnsMut, Q8Rows};

/// Tokens that share unpacked codes.
const TOKENS: usize = 96;
/// Tokens whose lanes are in registers at a time.
const TILE: usize = 3;
/// Blocks that are unpacked at a time.
const BLOCKS: usize = SUPER / BLOCK;

/// Unpacked blocks, both halves of the rows.
struct Unpacked {
    codes: [[Codes; 2]; BLOCKS],
    scales: [[Scales; 2]; BLOCKS],
}

/// Both halves of a panel's rows.
type Lanes = [__m256; 2];

#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn matmul<B: Bits, S: Scaling, const OFFSET: i32>(
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
            let mut sums = [[_mm256_setzero_ps(); 2]; TOKENS];
            for block in (0..panels.blocks).step_by(BLOCKS) {
                let count = BLOCKS.min(panels.blocks - block);
                // SAFETY: the panel and the tokens have `count` blocks from `block` on.
                unsafe {
                    unpacked.fill::<B, S>(panel, block, count);
                    unpacked.multiply::<B, S, OFFSET>(block, count, tokens, &mut sums);
                }
            }
            for (token, sums) in sums[..count].iter().enumerate() {
                let row = out.row_mut(first + token);
                let end = row.len().min((index + 1) * PANEL_ROWS);
                let halves = row[index * PANEL_ROWS..end].chunks_mut(ROWS);
                sums.iter().zip(halves).for_each(|(&sum, out)| vector::store_some(sum, out));
            }
        }
    }
}

impl Unpacked {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn new() -> Self {
        let (codes, zero) = (_mm256_setzero_si256(), _mm256_setzero_ps());
        let scales = Scales { halves: [zero; 2], plus: zero };
        Self { codes: [[[codes; 8]; 2]; BLOCKS], scales: [[scales; 2]; BLOCKS] }
    }

    /// Unpacks the group of `count` blocks from block `first` on, and asks for the next: by the time
    /// that all tokens have met this one, what guesses addresses has forgotten where it was.
    ///
    /// # Safety
    /// The panel has these blocks.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn fill<B: Bits, S: Scaling>(&mut self, panel: Panel, first: usize, count: usize) {
        // SAFETY: the panel has the blocks.
        let group = unsafe { panel.group(shape::<B, S>(), first, count) };
        ask_for::<_MM_HINT_T1>(
            group.scales.wrapping_add(S::BYTES),
            BLOCKS * B::LINES + S::BYTES / LINE,
        );
        let blocks = self.codes.iter_mut().zip(&mut self.scales).take(count);
        for (index, (codes, scales)) in blocks.enumerate() {
            // SAFETY: the group has block `index`; this function runs, so the machine has
            // the features.
            unsafe {
                for half in 0..2 {
                    codes[half] = B::codes(group.block(index), half);
                    scales[half] = S::scales(group.scales, index, half);
                }
            }
        }
    }

    /// Adds the products with the tokens to their lanes.
    ///
    /// # Safety
    /// The tokens have `count` blocks from block `first` on, which is a multiple of eight.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn multiply<B: Bits, S: Scaling, const OFFSET: i32>(
        &self,
        first: usize,
        count: usize,
        tokens: &[Token],
        sums: &mut [Lanes; TOKENS],
    ) {
        for (tokens, sums) in tokens.chunks(TILE).zip(sums.chunks_mut(TILE)) {
            // SAFETY: the tokens have the blocks.
            unsafe {
                match tokens {
                    &[a, b, c, ..] => self.tile::<B, S, OFFSET, 3>(first, count, [a, b, c], sums),
                    &[a, b] => self.tile::<B, S, OFFSET, 2>(first, count, [a, b], sums),
                    &[a] => self.tile::<B, S, OFFSET, 1>(first, count, [a], sums),
                    [] => {}
                }
            }
        }
    }

    /// [`multiply`](Self::multiply) for the tokens of a tile.
    ///
    /// # Safety
    /// As there.
    #[inline(never)]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn tile<B: Bits, S: Scaling, const OFFSET: i32, const T: usize>(
        &self,
        first: usize,
        count: usize,
        mut tokens: [Token; T],
        sums: &mut [Lanes],
    ) {
        let mut excess = [Excess::NONE; T];
        for (token, excess) in tokens.iter_mut().zip(&mut excess) {
            // SAFETY: the tokens have block `first`, a multiple of eight.
            unsafe {
                *token = token.after_blocks(first);
                *excess = Excess::new(token, OFFSET, S::HALVES);
            }
        }
        let mut lanes: [Lanes; T] = *sums.first_chunk().expect("there are lanes for the tokens");
        // Chained iterators leave thirty instructions a block that do nothing else but iterate.
        for index in 0..count.min(BLOCKS) {
            let (codes, scales) = (&self.codes[index], &self.scales[index]);
            // SAFETY: the tokens have block `first + index`.
            unsafe {
                add_block::<B, S, OFFSET, 2, T>(codes, scales, &tokens, &excess, index, &mut lanes)
            };
        }
        sums[..T].copy_from_slice(&lanes);
    }
}
