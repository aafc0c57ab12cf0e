use edgeformer_core::graph::GraphBuilder;
use edgeformer_core::{Graph, Result};

use super::blocks::{Half, attention, blk, gated_feed, logits, norm, normed_attention};
use crate::hyper::Decoder;

/// Gemma 2 (arXiv 2408.00118): norms on both sides of each half, windows in every other layer,
/// soft caps on scores and logits.
pub(super) fn gemma2(decoder: &Decoder) -> Result<Graph> {
    sandwich(decoder, attention)
}

/// Gemma 3 (arXiv 2503.19786): Gemma 2 with normalised queries and keys for the soft caps, and a
/// rotary base of its own for layers with a window.
pub(super) fn gemma3(decoder: &Decoder) -> Result<Graph> {
    sandwich(decoder, normed_attention)
}

/// `x += norm(attend(norm x)); x += norm(feed(norm x))`.
fn sandwich(decoder: &Decoder, attend: Half) -> Result<Graph> {
    let mut b = GraphBuilder::new(decoder.family.name(), decoder.input());
    let mut x = b.embed("token_embd.weight", decoder.width, decoder.embedding_scale)?;
    for layer in 0..decoder.layers {
        let normed = norm(&mut b, decoder, x, &blk(layer, "attn_norm"))?;
        let attended = attend(&mut b, decoder, layer, normed)?;
        let attended = norm(&mut b, decoder, attended, &blk(layer, "post_attention_norm"))?;
        x = b.add(x, attended)?;
        let normed = norm(&mut b, decoder, x, &blk(layer, "ffn_norm"))?;
        let fed = gated_feed(&mut b, decoder, layer, normed)?;
        let fed = norm(&mut b, decoder, fed, &blk(layer, "post_ffw_norm"))?;
        x = b.add(x, fed)?;
    }
    logits(b, decoder, x)
}
