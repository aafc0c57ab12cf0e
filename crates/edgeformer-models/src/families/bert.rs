use edgeformer_core::graph::{
    Activation, Attention, GraphBuilder, GraphInput, Mask, OutputKind, Pool, Value,
};
use edgeformer_core::{Graph, Result};

use super::blocks::blk;
use crate::hyper::Encoder;

/// BERT (arXiv 1810.04805): learned positions, post-norm blocks, every token sees every other.
/// The output is the hidden state of every token, or, behind the pooler of the first token, the
/// score of each class; all text is of segment 0.
pub(super) fn graph(encoder: &Encoder) -> Result<Graph> {
    let &Encoder { vocabulary, context, width, norm_eps: eps, .. } = encoder;
    let mut b = GraphBuilder::new("bert", GraphInput::Tokens { vocabulary, context });
    let x = b.embed("token_embd.weight", width, 1.0)?;
    let x = b.position(x, "position_embd.weight", context, 0)?;
    let x = b.add_row(x, "token_types.weight", encoder.segments, 0)?;
    let mut x = b.layer_norm(x, "token_embd_norm", eps)?;
    for layer in 0..encoder.layers {
        let attended = attention(&mut b, encoder, layer, x)?;
        x = b.add(x, attended)?;
        x = b.layer_norm(x, &blk(layer, "attn_output_norm"), eps)?;

        let inner = b.linear(x, &blk(layer, "ffn_up"), encoder.feed.width, true)?;
        let inner = b.activation(inner, encoder.feed.activation)?;
        let fed = b.linear(inner, &blk(layer, "ffn_down"), width, true)?;
        x = b.add(x, fed)?;
        x = b.layer_norm(x, &blk(layer, "layer_output_norm"), eps)?;
    }
    let Some(classes) = encoder.classes else { return b.finish(OutputKind::HiddenStates, x) };
    let first = b.pool(x, Pool::Class)?;
    let pooled = b.linear(first, "cls", width, true)?;
    let pooled = b.activation(pooled, Activation::Tanh)?;
    let scores = b.linear(pooled, "cls.output", classes, true)?;
    b.finish(OutputKind::ClassScores, scores)
}

fn attention(b: &mut GraphBuilder, encoder: &Encoder, layer: usize, x: Value) -> Result<Value> {
    let width = encoder.width;
    let q = b.linear(x, &blk(layer, "attn_q"), width, true)?;
    let k = b.linear(x, &blk(layer, "attn_k"), width, true)?;
    let v = b.linear(x, &blk(layer, "attn_v"), width, true)?;
    let attended = b.attention(q, k, v, bidirectional(encoder.heads, width))?;
    b.linear(attended, &blk(layer, "attn_output"), width, true)
}

/// Attention of an encoder: every row sees every other.
pub(super) fn bidirectional(heads: usize, width: usize) -> Attention {
    let dim = width / heads.max(1);
    Attention {
        heads,
        kv_heads: heads,
        key_dim: dim,
        value_dim: dim,
        scale: (dim as f32).powf(-0.5),
        mask: Mask::Bidirectional,
        window: None,
        soft_cap: None,
        slot: None,
    }
}
