//! One token.
//!
//! Several panels are read side by side: as many streams let a core take more of the memory's
//! bandwidth than one does.

use std::arch::x86_64::*;

use super::codes::Bits;
use super::dot::{Excess, add_block};
use super::scales::Scaling;
use super::{Panel, Panels, store};
use crate::kernels::Q8Rows;
use crate::kernels::packed::{GROUP, PANEL_ROWS, Token};

/// Panels that are read at the same time.
const STREAMS: usize = 2;

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn matmul<B: Bits, S: Scaling, const OFFSET: i32>(
    panels: &Panels<'_>,
    x: Q8Rows<'_>,
    out: &mut [f32],
) {
    let token = Token::new(x, 0);
    for (index, out) in out.chunks_mut(STREAMS * PANEL_ROWS).enumerate() {
        let first = index * STREAMS;
        // SAFETY: the panels and the token have so many blocks.
        unsafe {
            if first + STREAMS <= panels.len() {
                let streams = std::array::from_fn(|stream| panels.get(first + stream));
                multiply::<B, S, OFFSET, STREAMS>(streams, panels.blocks, token, out);
            } else {
                multiply::<B, S, OFFSET, 1>([panels.get(first)], panels.blocks, token, out);
            }
        }
    }
}

/// Multiplies `P` panels of `blocks` blocks with the token.
///
/// # Safety
/// The panels and the token have so many blocks.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn multiply<B: Bits, S: Scaling, const OFFSET: i32, const P: usize>(
    panels: [Panel; P],
    blocks: usize,
    token: Token,
    out: &mut [f32],
) {
    let mut lanes = [[_mm512_setzero_ps()]; P];
    for first in (0..blocks).step_by(GROUP) {
        // SAFETY: the token has block `first`, a multiple of eight.
        let (token, excess) = unsafe {
            let token = token.after_blocks(first);
            (token, Excess::new::<S, OFFSET>(&token))
        };
        for index in 0..GROUP.min(blocks - first) {
            for (panel, lanes) in panels.iter().zip(&mut lanes) {
                // SAFETY: the panel and the token have the block; this function runs, so the
                // machine has the features.
                unsafe {
                    let codes = B::codes(panel.block::<B>(first + index));
                    let scales = S::scales(panel.scales, first + index);
                    add_block::<S, OFFSET, 1>(&codes, &scales, &[token], &[excess], index, lanes);
                }
            }
        }
    }
    for ([lanes], out) in lanes.into_iter().zip(out.chunks_mut(PANEL_ROWS)) {
        store(lanes, out);
    }
}
