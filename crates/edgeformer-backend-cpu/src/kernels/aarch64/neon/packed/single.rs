//! One token.
//!
//! Panels are read in two streams, each panel after panel: so a core takes more of the memory's
//! bandwidth than along one.

use std::arch::aarch64::*;

use super::codes::Bits;
use super::dot::{X, add_block};
use super::multiply::Multiply;
use super::scales::Scaling;
use super::{Lanes, shape, store};
use crate::kernels::Q8Rows;
use crate::kernels::packed::{GROUP, Panel, Panels, Token};

/// Panels that are read at the same time.
const STREAMS: usize = 2;

/// # Safety
/// The machine has the instructions of `M`; the panels and the token have as many blocks.
#[inline(never)]
#[target_feature(enable = "neon")]
pub(super) unsafe fn matmul<M: Multiply, B: Bits, S: Scaling, const OFFSET: i32>(
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
        let lanes = unsafe { multiply::<M, B, S, OFFSET, STREAMS>(streams, panels.blocks, token) };
        for (stream, lanes) in lanes.iter().enumerate() {
            store(lanes, place(stream), out);
        }
    }
    for index in STREAMS * length..panels.len() {
        let panel = [panels.get(index)];
        // SAFETY: as above.
        let [lanes] = unsafe { multiply::<M, B, S, OFFSET, 1>(panel, panels.blocks, token) };
        store(&lanes, index, out);
    }
}

/// The products of `P` panels of `blocks` blocks with the token.
///
/// # Safety
/// The machine has the instructions of `M`; the panels and the token have so many blocks.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn multiply<M: Multiply, B: Bits, S: Scaling, const OFFSET: i32, const P: usize>(
    panels: [Panel; P],
    blocks: usize,
    token: Token,
) -> [Lanes; P] {
    let mut lanes = [[[vdupq_n_f32(0.0)]; 4]; P];
    for first in (0..blocks).step_by(GROUP) {
        let count = GROUP.min(blocks - first);
        // SAFETY: the token has block `first`.
        let token = unsafe { token.after_blocks(first) };
        // SAFETY: the panels have the group.
        let groups = panels.map(|panel| unsafe { panel.group(shape::<B, S>(), first, count) });
        for index in 0..count {
            // SAFETY: the token has the block.
            let x = [unsafe { X::new(&token, index) }];
            let excess = [x[0].excess::<S, OFFSET>()];
            let excess = (OFFSET != 0).then_some(&excess);
            for (group, lanes) in groups.iter().zip(&mut lanes) {
                // SAFETY: the group has the block, of sixteen rows; the machine has the
                // instructions.
                unsafe {
                    let scales = S::scales(group.scales, index);
                    for (quarter, lanes) in lanes.iter_mut().enumerate() {
                        let codes = B::codes(group.block(index), quarter);
                        add_block::<M, B, S, 1>(&codes, &scales[quarter], &x, excess, lanes);
                    }
                }
            }
        }
    }
    lanes.map(|lanes| lanes.map(|[lanes]| lanes))
}
