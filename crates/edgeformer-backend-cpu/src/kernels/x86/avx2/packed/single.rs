//! One token.
//!
//! Panels are read in several streams, each panel after panel: so a core takes more of the memory's
//! bandwidth than along one. Asking for what follows by hand made it slower: 47 instead of 54
//! tokens a second of a model of 350 MB (Zen 4).

use std::arch::x86_64::*;

use super::codes::Bits;
use super::dot::{add_block, ones};
use super::scales::Scaling;
use super::{ROWS, shape};
use crate::kernels::Q8Rows;
use crate::kernels::packed::{Excess, GROUP, PANEL_ROWS, Panel, Panels, Token};
use crate::kernels::x86::avx2::vector;

/// Panels that are read at the same time.
const STREAMS: usize = 2;

/// The lanes of both halves of a panel, with the one token.
type Lanes = [[[__m256; 1]; 1]; 2];

#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn matmul<B: Bits, S: Scaling, const OFFSET: i32>(
    panels: &Panels<'_>,
    x: Q8Rows<'_>,
    out: &mut [f32],
) {
    let token = Token::new(x, 0);
    let length = panels.len() / STREAMS;
    for index in 0..length {
        let place = |stream: usize| index + stream * length;
        let streams = std::array::from_fn(|stream| panels.get(place(stream)));
        // SAFETY: the panels and the token have so many blocks.
        let lanes = unsafe { multiply::<B, S, OFFSET, STREAMS>(streams, panels.blocks, token) };
        for (stream, lanes) in lanes.iter().enumerate() {
            store(lanes, place(stream), out);
        }
    }
    for index in STREAMS * length..panels.len() {
        // SAFETY: as above.
        let [lanes] =
            unsafe { multiply::<B, S, OFFSET, 1>([panels.get(index)], panels.blocks, token) };
        store(&lanes, index, out);
    }
}

/// The products of `P` panels of `blocks` blocks with the token.
///
/// # Safety
/// The panels and the token have so many blocks.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn multiply<B: Bits, S: Scaling, const OFFSET: i32, const P: usize>(
    panels: [Panel; P],
    blocks: usize,
    token: Token,
) -> [Lanes; P] {
    let mut lanes = [[[[_mm256_setzero_ps()]; 1]; 2]; P];
    let ones = ones();
    for first in (0..blocks).step_by(GROUP) {
        // SAFETY: the token has block `first`, a multiple of eight.
        let (token, excess) = unsafe {
            let token = token.after_blocks(first);
            ([token], [Excess::new(&token, OFFSET, S::HALVES)])
        };
        let count = GROUP.min(blocks - first);
        // SAFETY: the panels have the group.
        let groups = panels.map(|panel| unsafe { panel.group(shape::<B, S>(), first, count) });
        for index in 0..count {
            for (group, lanes) in groups.iter().zip(&mut lanes) {
                // SAFETY: the group has the block.
                let block = unsafe { group.block(index) };
                for (half, lanes) in lanes.iter_mut().enumerate() {
                    // SAFETY: the group and the token have the block; this function runs, so the
                    // machine has the features.
                    unsafe {
                        let codes = [B::codes(block, half)];
                        let scales = [S::scales(group.scales, index, half)];
                        add_block::<B, S, OFFSET, 1, 1>(
                            &codes, &scales, &token, &excess, index, ones, lanes,
                        );
                    }
                }
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
    for ([[lanes]], out) in lanes.iter().zip(halves) {
        vector::store_some(*lanes, out);
    }
}
