//! Causal attention: groups, windows, caps, latents.

use edgeformer_core::Result;
use edgeformer_core::graph::{Attention, Graph};

use super::super::graphs::{attend, attend_latents, attend_rotated, decoder, grouped, plain_rope};
use super::text;
use crate::suite::Case;

pub(super) fn cases() -> Vec<Case> {
    vec![
        text("attention-mha", || layers(grouped(4, 4, 8))),
        text("attention-gqa", || layers(grouped(6, 2, 8))),
        text("attention-mqa", || layers(grouped(5, 1, 8))),
        text("attention-odd-heads", || layers(grouped(3, 3, 7))),
        text("attention-wide-values", || {
            layers(Attention { value_dim: 12, key_dim: 6, ..grouped(4, 2, 6) })
        }),
        text("attention-scale", || layers(Attention { scale: 1.7, ..grouped(4, 2, 8) })),
        text("attention-window", || window(6)),
        text("attention-window-page", || window(5)),
        text("attention-window-1", || window(1)),
        text("attention-window-long", || window(1000)),
        text("attention-soft-cap", || {
            layers(Attention { soft_cap: Some(1.5), scale: 1.0, ..grouped(4, 2, 8) })
        }),
        text("attention-mixed-windows", || {
            decoder(|b, x| {
                let near = Attention { window: Some(4), ..grouped(4, 2, 8) };
                let far = Attention { window: Some(11), soft_cap: Some(3.0), ..grouped(4, 1, 8) };
                let x = attend(b, x, "blk.0", near)?;
                let x = attend(b, x, "blk.1", grouped(4, 4, 8))?;
                attend_rotated(b, x, "blk.2", far, Some(plain_rope(4, 8)))
            })
        }),
        text("latent-attention-fused", || decoder(|b, x| attend_latents(b, x, "blk.0", false))),
        text("latent-attention-split", || decoder(|b, x| attend_latents(b, x, "blk.0", true))),
        text("latent-attention-layers", super::super::graphs::two_latent_layers),
    ]
}

fn window(window: usize) -> Result<Graph> {
    layers(Attention { window: Some(window), ..grouped(4, 2, 8) })
}

fn layers(attention: Attention) -> Result<Graph> {
    decoder(|b, x| {
        let x = attend(b, x, "blk.0", attention)?;
        attend(b, x, "blk.1", attention)
    })
}
