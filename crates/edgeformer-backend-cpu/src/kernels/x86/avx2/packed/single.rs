//! One token.
//!
//! Panels are read from the first byte to the last, and asked for [`AHEAD`] of the product: its
//! many instructions leave a core little room to see by itself what it will need. On Zen 3, with two
//! threads at once, Q4_0 was read at 8.2 instead of 5.7 GB/s a thread, Q8_0 at 9.0 instead of 6.7.
//! (The table for AVX-512 reads two streams and does without: on Zen 4 asking cost a seventh.)

use std::arch::x86_64::*;

use super::codes::Bits;
use super::dot::add_block;
use super::scales::Scaling;
use super::{ROWS, shape};
use crate::kernels::Q8Rows;
use crate::kernels::packed::{Excess, GROUP, PANEL_ROWS, Panel, Panels, Token};
use crate::kernels::x86::avx2::vector::{self, ask_for};

/// Bytes ahead of the product that are asked for: what memory delivers in the time that it takes to
/// answer, and some more.
const AHEAD: usize = 6144;

/// The lanes of both halves of a panel, with the one token.
type Lanes = [[__m256; 2]; 1];

#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn matmul<B: Bits, S: Scaling, const OFFSET: i32>(
    panels: &Panels<'_>,
    x: Q8Rows<'_>,
    out: &mut [f32],
) {
    let token = Token::new(x, 0);
    for index in 0..panels.len() {
        // SAFETY: the panel and the token have so many blocks.
        let lanes = unsafe { multiply::<B, S, OFFSET>(panels.get(index), panels.blocks, token) };
        store(&lanes, index, out);
    }
}

/// The products of a panel of `blocks` blocks with the token.
///
/// # Safety
/// The panel and the token have so many blocks.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn multiply<B: Bits, S: Scaling, const OFFSET: i32>(
    panel: Panel,
    blocks: usize,
    token: Token,
) -> Lanes {
    let mut lanes = [[_mm256_setzero_ps(); 2]; 1];
    for first in (0..blocks).step_by(GROUP) {
        // SAFETY: the token has block `first`, a multiple of eight.
        let (token, excess) = unsafe {
            let token = token.after_blocks(first);
            ([token], [Excess::new(&token, OFFSET, S::HALVES)])
        };
        let count = GROUP.min(blocks - first);
        // SAFETY: the panel has the group.
        let group = unsafe { panel.group(shape::<B, S>(), first, count) };
        for index in 0..count {
            // SAFETY: the group and the token have the block; this function runs, so the machine
            // has the features.
            unsafe {
                let block = group.block(index);
                ask_for::<_MM_HINT_T0>(block.wrapping_add(AHEAD), B::LINES);
                // No closure: it would be a call, with all codes by way of memory.
                let codes = [B::codes(block, 0), B::codes(block, 1)];
                let scales = [S::scales(group.scales, index, 0), S::scales(group.scales, index, 1)];
                add_block::<B, S, OFFSET, 2, 1>(
                    &codes, &scales, &token, &excess, index, &mut lanes,
                );
            }
        }
    }
    lanes
}

/// Writes the results of panel `index`, as far as there is room.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn store(lanes: &Lanes, index: usize, out: &mut [f32]) {
    let end = out.len().min((index + 1) * PANEL_ROWS);
    let halves = out[index * PANEL_ROWS..end].chunks_mut(ROWS);
    for (lanes, out) in lanes[0].iter().zip(halves) {
        vector::store_some(*lanes, out);
    }
}
