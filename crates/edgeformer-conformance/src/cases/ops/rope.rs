//! Rotary embeddings: layouts and scalings.

use edgeformer_core::Result;
use edgeformer_core::graph::{Graph, Rope, RopeLayout, RopeScaling, yarn_mscale};

use super::super::graphs::{attend_rotated, decoder, grouped, plain_rope};
use super::text;
use crate::suite::Case;

pub(super) fn cases() -> Vec<Case> {
    vec![
        text("rope-halves", || layers(plain_rope(4, 8))),
        text("rope-interleaved", || {
            layers(Rope { layout: RopeLayout::Interleaved, ..plain_rope(4, 8) })
        }),
        text("rope-partial", || layers(Rope { dims: 6, ..plain_rope(4, 8) })),
        text("rope-partial-interleaved", || {
            layers(Rope { dims: 4, layout: RopeLayout::Interleaved, ..plain_rope(4, 8) })
        }),
        text("rope-linear", || scaled(RopeScaling::Linear { factor: 4.0 })),
        text("rope-llama3", || {
            scaled(RopeScaling::Llama3 {
                factor: 8.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_context: 32,
            })
        }),
        text("rope-yarn", || {
            scaled(RopeScaling::Yarn {
                factor: 4.0,
                original_context: 32,
                beta_fast: 8.0,
                beta_slow: 1.0,
                truncate: true,
                attention_factor: yarn_mscale(4.0, 1.0),
            })
        }),
        text("rope-longrope-long", || longrope(32)),
        text("rope-longrope-short", || longrope(4096)),
        text("rope-factors", || scaled(RopeScaling::Factors { factors: vec![1.0, 1.5, 4.0, 8.0] })),
    ]
}

fn scaled(scaling: RopeScaling) -> Result<Graph> {
    layers(Rope { scaling, ..plain_rope(4, 8) })
}

fn longrope(original_context: usize) -> Result<Graph> {
    scaled(RopeScaling::LongRope {
        short: vec![1.0, 1.1, 1.2, 1.3],
        long: vec![1.0, 2.0, 4.0, 6.0],
        original_context,
        attention_factor: 1.19,
    })
}

/// Two layers, with different heads of queries and keys.
fn layers(rope: Rope) -> Result<Graph> {
    decoder(|b, x| {
        let x = attend_rotated(b, x, "blk.0", grouped(4, 2, 8), Some(rope.clone()))?;
        attend_rotated(b, x, "blk.1", grouped(4, 1, 8), Some(rope))
    })
}
