//! Many tokens.
//!
//! The loops, from the outside: 64 tokens, panels, 256 columns, 8 tokens, blocks. The codes of a
//! panel are unpacked once for the 64 tokens, and stay in the first-level cache with
//! the tokens' codes for these columns.

use std::arch::x86_64::*;

use super::codes::{Bits, Codes};
use super::dot::add_block;
use super::scales::{Scales, Scaling};
use super::{shape, store};
use crate::kernels::packed::{BLOCK, Excess, PANEL_ROWS, Panel, Panels, SUPER, Token};
use crate::kernels::{ColumnsMut, Q8Rows};

/// Tokens that share unpacked codes.
const TOKENS: usize = 64;
/// Tokens whose lanes are in registers at a time.
const TILE: usize = 8;
/// Blocks that are unpacked at a time.
const BLOCKS: usize = SUPER / BLOCK;

/// Unpacked blocks of a panel.
struct Unpacked {
    codes: [Codes; BLOCKS],
    scales: [Scales; BLOCKS],
}

#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
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
            let mut sums = [_mm512_setzero_ps(); TOKENS];
            for block in (0..panels.blocks).step_by(BLOCKS) {
                let count = BLOCKS.min(panels.blocks - block);
                // SAFETY: the panel and the tokens have `count` blocks from `block` on.
                unsafe {
                    unpacked.fill::<B, S>(panel, block, count);
                    unpacked.multiply::<B, S, OFFSET>(block, count, tokens, &mut sums);
                }
            }
            for (token, &sum) in sums[..count].iter().enumerate() {
                let row = out.row_mut(first + token);
                let end = row.len().min((index + 1) * PANEL_ROWS);
                store(sum, &mut row[index * PANEL_ROWS..end]);
            }
        }
    }
}

impl Unpacked {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn new() -> Self {
        let (codes, zero) = (_mm512_setzero_si512(), _mm512_setzero_ps());
        let scales = Scales { halves: [zero; 2], plus: zero };
        Self { codes: [[codes; 8]; BLOCKS], scales: [scales; BLOCKS] }
    }

    /// Unpacks the group of `count` blocks from block `first` on.
    ///
    /// # Safety
    /// The panel has these blocks.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn fill<B: Bits, S: Scaling>(&mut self, panel: Panel, first: usize, count: usize) {
        // SAFETY: the panel has the blocks.
        let group = unsafe { panel.group(shape::<B, S>(), first, count) };
        let blocks = self.codes.iter_mut().zip(&mut self.scales).take(count);
        for (index, (codes, scales)) in blocks.enumerate() {
            // SAFETY: the group has block `index`; this function runs, so the machine has
            // the features.
            unsafe {
                *codes = B::codes(group.block(index));
                *scales = S::scales(group.scales, index);
            }
        }
    }

    /// Adds the products with the tokens to their lanes.
    ///
    /// # Safety
    /// The tokens have `count` blocks from block `first` on, which is a multiple of eight.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn multiply<B: Bits, S: Scaling, const OFFSET: i32>(
        &self,
        first: usize,
        count: usize,
        tokens: &[Token],
        sums: &mut [__m512; TOKENS],
    ) {
        let mut done = 0;
        while done < tokens.len() {
            let (tokens, sums) = (&tokens[done..], &mut sums[done..]);
            // SAFETY: the tokens have the blocks.
            done += unsafe {
                match tokens.len() {
                    TILE.. => self.tile::<B, S, OFFSET, TILE>(first, count, tokens, sums),
                    4.. => self.tile::<B, S, OFFSET, 4>(first, count, tokens, sums),
                    2.. => self.tile::<B, S, OFFSET, 2>(first, count, tokens, sums),
                    _ => self.tile::<B, S, OFFSET, 1>(first, count, tokens, sums),
                }
            };
        }
    }

    /// [`multiply`](Self::multiply) for the first `T` tokens; returns how many these are.
    ///
    /// # Safety
    /// As there.
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn tile<B: Bits, S: Scaling, const OFFSET: i32, const T: usize>(
        &self,
        first: usize,
        count: usize,
        tokens: &[Token],
        sums: &mut [__m512],
    ) -> usize {
        let mut tokens: [Token; T] = *tokens.first_chunk().expect("there are so many tokens");
        let mut excess = [Excess::NONE; T];
        for (token, excess) in tokens.iter_mut().zip(&mut excess) {
            // SAFETY: the tokens have block `first`, a multiple of eight.
            unsafe {
                *token = token.after_blocks(first);
                *excess = Excess::new(token, OFFSET, S::HALVES);
            }
        }
        let mut lanes: [__m512; T] = *sums.first_chunk().expect("there are lanes for the tokens");
        // As in the AVX2 tile: chained iterators leave instructions that only iterate.
        for index in 0..count.min(BLOCKS) {
            let (codes, scales) = (&self.codes[index], &self.scales[index]);
            // SAFETY: the tokens have block `first + index`.
            unsafe {
                add_block::<S, OFFSET, T>(codes, scales, &tokens, &excess, index, &mut lanes)
            };
        }
        sums[..T].copy_from_slice(&lanes);
        T
    }
}
