use edgeformer_core::graph::GraphBuilder;
use edgeformer_core::{Graph, Result};

use super::blocks::{blk, rotate_and_attend, scores};
use crate::hyper::Decoder;

/// GPT-2 (Radford et al., 2019): learned positions, layer norms, biases everywhere, a fused
/// projection of queries, keys and values, a plain feed-forward.
pub(super) fn graph(decoder: &Decoder) -> Result<Graph> {
    let (width, eps) = (decoder.width, decoder.norm_eps);
    let mut b = GraphBuilder::new(decoder.family.name(), decoder.input());
    let x = b.embed("token_embd.weight", width, decoder.embedding_scale)?;
    let mut x = b.position(x, "position_embd.weight", decoder.context, 0)?;
    for layer in 0..decoder.layers {
        let normed = b.layer_norm(x, &blk(layer, "attn_norm"), eps)?;
        let fused = b.linear(normed, &blk(layer, "attn_qkv"), 3 * width, true)?;
        let qkv = b.split(fused, [width; 3])?;
        let attended = rotate_and_attend(&mut b, decoder, layer, qkv)?;
        x = b.add(x, attended)?;

        let normed = b.layer_norm(x, &blk(layer, "ffn_norm"), eps)?;
        let inner = b.linear(normed, &blk(layer, "ffn_up"), decoder.feed.width, true)?;
        let inner = b.activation(inner, decoder.feed.activation)?;
        let fed = b.linear(inner, &blk(layer, "ffn_down"), width, true)?;
        x = b.add(x, fed)?;
    }
    let normed = b.layer_norm(x, "output_norm", eps)?;
    scores(b, decoder, normed)
}
