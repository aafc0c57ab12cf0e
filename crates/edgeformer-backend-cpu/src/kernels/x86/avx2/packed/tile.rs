//! Many tokens.
//!
//! The loops, from the outside: 64 tokens, half panels, 256 columns, 4 tokens, blocks. The codes
//! of half a panel are unpacked once for the 64 tokens, and stay in the first-level cache with
//! the tokens' codes for these columns.

use std::arch::x86_64::*;

use super::codes::{Bits, Codes};
use super::dot::{Token, add_block};
use super::scales::{Scales, Scaling};
use super::{Panel, Panels, ROWS};
use crate::kernels::packed::{BLOCK, PANEL_ROWS, SUPER};
use crate::kernels::x86::avx2::vector;
use crate::kernels::{ColumnsMut, Q8Rows};

/// Tokens that share unpacked codes.
const TOKENS: usize = 64;
/// Tokens whose lanes are in registers at a time.
const TILE: usize = 4;
/// Blocks that are unpacked at a time.
const BLOCKS: usize = SUPER / BLOCK;

/// Unpacked blocks of eight rows.
struct Unpacked {
    codes: [Codes; BLOCKS],
    scales: [Scales; BLOCKS],
}

#[inline]
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
            for half in 0..2 {
                let mut sums = [_mm256_setzero_ps(); TOKENS];
                for block in (0..panels.blocks).step_by(BLOCKS) {
                    let count = BLOCKS.min(panels.blocks - block);
                    // SAFETY: the panel and the tokens have `count` blocks from `block` on.
                    unsafe {
                        unpacked.fill::<B, S>(panel, block, count, half);
                        unpacked.multiply::<B, S, OFFSET>(block, count, tokens, &mut sums);
                    }
                }
                let column = index * PANEL_ROWS + half * ROWS;
                for (token, &sum) in sums[..count].iter().enumerate() {
                    let row = out.row_mut(first + token);
                    let end = row.len().min(column + ROWS);
                    vector::store_some(sum, &mut row[column.min(end)..end]);
                }
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
        Self { codes: [[codes; 8]; BLOCKS], scales: [scales; BLOCKS] }
    }

    /// Unpacks `count` blocks from block `first` on.
    ///
    /// # Safety
    /// The panel has these blocks; `half` is below two.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn fill<B: Bits, S: Scaling>(
        &mut self,
        panel: Panel,
        first: usize,
        count: usize,
        half: usize,
    ) {
        let blocks = self.codes.iter_mut().zip(&mut self.scales).take(count);
        for (index, (codes, scales)) in blocks.enumerate() {
            // SAFETY: the panel has block `first + index`; this function runs, so the machine has
            // the features.
            unsafe {
                *codes = B::codes(panel.block::<B>(first + index), half);
                *scales = S::scales(panel.scales, first + index, half);
            }
        }
    }

    /// Adds the products with the tokens to their lanes.
    ///
    /// # Safety
    /// The tokens have `count` blocks from block `first` on.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn multiply<B: Bits, S: Scaling, const OFFSET: i32>(
        &self,
        first: usize,
        count: usize,
        tokens: &[Token],
        sums: &mut [__m256; TOKENS],
    ) {
        for (tokens, sums) in tokens.chunks(TILE).zip(sums.chunks_mut(TILE)) {
            // SAFETY: the tokens have the blocks.
            unsafe {
                match tokens {
                    &[a, b, c, d] => {
                        self.tile::<B, S, OFFSET, 4>(first, count, [a, b, c, d], sums);
                    }
                    &[a, b, c] => self.tile::<B, S, OFFSET, 3>(first, count, [a, b, c], sums),
                    &[a, b] => self.tile::<B, S, OFFSET, 2>(first, count, [a, b], sums),
                    &[a, ..] => self.tile::<B, S, OFFSET, 1>(first, count, [a], sums),
                    [] => {}
                }
            }
        }
    }

    /// [`multiply`](Self::multiply) for the tokens of a tile.
    ///
    /// # Safety
    /// As there.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn tile<B: Bits, S: Scaling, const OFFSET: i32, const T: usize>(
        &self,
        first: usize,
        count: usize,
        tokens: [Token; T],
        sums: &mut [__m256],
    ) {
        // SAFETY: the tokens have block `first`.
        let tokens = tokens.map(|token| unsafe { token.from_block(first) });
        let mut lanes: [__m256; T] = *sums.first_chunk().expect("there are lanes for the tokens");
        for (index, (codes, scales)) in self.codes.iter().zip(&self.scales).take(count).enumerate()
        {
            // SAFETY: the tokens have block `first + index`.
            unsafe { add_block::<B, S, OFFSET, T>(codes, scales, &tokens, index, &mut lanes) };
        }
        sums[..T].copy_from_slice(&lanes);
    }
}
