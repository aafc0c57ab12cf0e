//! What families share: the pre-norm stack, grouped-query attention, feed-forward networks.

use edgeformer_core::graph::{Attention, Experts, GraphBuilder, Mask, OutputKind, Pool, Value};
use edgeformer_core::{Graph, Result};

use crate::hyper::{Decoder, Mixture};

/// A half of a block: what it makes of the normalised stream in a layer.
pub(super) type Half = fn(&mut GraphBuilder, &Decoder, usize, Value) -> Result<Value>;

/// Name of a weight of a layer.
pub(super) fn blk(layer: usize, name: &str) -> String {
    format!("blk.{layer}.{name}")
}

/// The pre-norm decoder: `x += attend(norm x); x += feed(norm x)`, a norm, logits.
pub(super) fn prenorm(decoder: &Decoder, attend: Half, feed: Half) -> Result<Graph> {
    let mut b = GraphBuilder::new(decoder.family.name(), decoder.input());
    let mut x = b.embed("token_embd.weight", decoder.width, decoder.embedding_scale)?;
    for layer in 0..decoder.layers {
        let normed = norm(&mut b, decoder, x, &blk(layer, "attn_norm"))?;
        let attended = attend(&mut b, decoder, layer, normed)?;
        x = b.add(x, attended)?;
        let normed = norm(&mut b, decoder, x, &blk(layer, "ffn_norm"))?;
        let fed = feed(&mut b, decoder, layer, normed)?;
        x = b.add(x, fed)?;
    }
    logits(b, decoder, x)
}

/// The family's root-mean-square norm.
pub(super) fn norm(b: &mut GraphBuilder, d: &Decoder, x: Value, name: &str) -> Result<Value> {
    b.rms_norm(x, name, d.norm_eps, d.norm_offset)
}

/// The last norm, and the scores of every token or of classes.
pub(super) fn logits(mut b: GraphBuilder, decoder: &Decoder, x: Value) -> Result<Graph> {
    let normed = norm(&mut b, decoder, x, "output_norm")?;
    scores(b, decoder, normed)
}

/// The scores of every token; of a classifier those of its classes, from the hidden state of the
/// last token, which alone has seen the whole text.
pub(super) fn scores(mut b: GraphBuilder, decoder: &Decoder, x: Value) -> Result<Graph> {
    if let Some(classes) = decoder.classes {
        let last = b.pool(x, Pool::Last)?;
        let scores = b.linear(last, "cls.output", classes, false)?;
        return b.finish(OutputKind::ClassScores, scores);
    }
    let head = if decoder.tied { "token_embd" } else { "output" };
    let mut scores = b.linear(x, head, decoder.vocabulary, false)?;
    if let Some(cap) = decoder.logit_cap {
        scores = b.soft_cap(scores, cap)?;
    }
    b.finish(OutputKind::Logits, scores)
}

/// Grouped-query attention with projections of its own for queries, keys and values.
pub(super) fn attention(
    b: &mut GraphBuilder,
    decoder: &Decoder,
    layer: usize,
    x: Value,
) -> Result<Value> {
    let [q, k, v] = project(b, decoder, layer, x)?;
    rotate_and_attend(b, decoder, layer, [q, k, v])
}

/// [`attention`] whose queries and keys are normalised head by head.
pub(super) fn normed_attention(
    b: &mut GraphBuilder,
    decoder: &Decoder,
    layer: usize,
    x: Value,
) -> Result<Value> {
    let heads = &decoder.attention;
    let (eps, offset) = (decoder.norm_eps, decoder.norm_offset);
    let [q, k, v] = project(b, decoder, layer, x)?;
    let q = b.head_norm(q, &blk(layer, "attn_q_norm"), heads.heads, eps, offset)?;
    let k = b.head_norm(k, &blk(layer, "attn_k_norm"), heads.kv_heads, eps, offset)?;
    rotate_and_attend(b, decoder, layer, [q, k, v])
}

fn project(b: &mut GraphBuilder, decoder: &Decoder, layer: usize, x: Value) -> Result<[Value; 3]> {
    let heads = &decoder.attention;
    let bias = heads.input_bias;
    let q = b.linear(x, &blk(layer, "attn_q"), heads.heads * heads.key_dim, bias)?;
    let k = b.linear(x, &blk(layer, "attn_k"), heads.kv_heads * heads.key_dim, bias)?;
    let v = b.linear(x, &blk(layer, "attn_v"), heads.kv_heads * heads.value_dim, bias)?;
    Ok([q, k, v])
}

/// Positions, attention, output projection.
pub(super) fn rotate_and_attend(
    b: &mut GraphBuilder,
    decoder: &Decoder,
    layer: usize,
    [mut q, mut k, v]: [Value; 3],
) -> Result<Value> {
    let heads = decoder.attention;
    if let Some(rotary) = decoder.rotary_of(layer) {
        q = b.rope(q, rotary.of(heads.heads))?;
        k = b.rope(k, rotary.of(heads.kv_heads))?;
    }
    let attention = Attention {
        heads: heads.heads,
        kv_heads: heads.kv_heads,
        key_dim: heads.key_dim,
        value_dim: heads.value_dim,
        scale: heads.scale,
        mask: Mask::Causal,
        window: decoder.windows[layer],
        soft_cap: heads.soft_cap,
        slot: None,
    };
    let attended = b.attention(q, k, v, attention)?;
    b.linear(attended, &blk(layer, "attn_output"), decoder.width, heads.output_bias)
}

/// `down(activation(gate x) * (up x))`.
pub(super) fn gated_feed(
    b: &mut GraphBuilder,
    decoder: &Decoder,
    layer: usize,
    x: Value,
) -> Result<Value> {
    gated(b, decoder, layer, x, ["ffn_gate", "ffn_up", "ffn_down"], decoder.feed.width)
}

fn gated(
    b: &mut GraphBuilder,
    decoder: &Decoder,
    layer: usize,
    x: Value,
    [gate, up, down]: [&str; 3],
    width: usize,
) -> Result<Value> {
    let bias = decoder.feed.bias;
    let gate = b.linear(x, &blk(layer, gate), width, bias)?;
    let gate = b.activation(gate, decoder.feed.activation)?;
    let up = b.linear(x, &blk(layer, up), width, bias)?;
    let inner = b.multiply(gate, up)?;
    b.linear(inner, &blk(layer, down), decoder.width, bias)
}

/// The layer's experts with the shared ones beside them, or a gated network where it has none.
pub(super) fn experts_or_gated(
    b: &mut GraphBuilder,
    decoder: &Decoder,
    layer: usize,
    x: Value,
) -> Result<Value> {
    let Some(mixture) = decoder.experts_of(layer) else {
        return gated_feed(b, decoder, layer, x);
    };
    let routed = experts(b, decoder, layer, x, mixture)?;
    let Some(width) = mixture.shared_width else { return Ok(routed) };
    let names = ["ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"];
    let shared = gated(b, decoder, layer, x, names, width)?;
    b.add(routed, shared)
}

fn experts(
    b: &mut GraphBuilder,
    decoder: &Decoder,
    layer: usize,
    x: Value,
    mixture: &Mixture,
) -> Result<Value> {
    let (count, width, d) = (mixture.count, mixture.width, decoder.width);
    let bias = mixture.selection_bias.then(|| blk(layer, "exp_probs_b.bias"));
    let op = Experts {
        count,
        top_k: mixture.top_k,
        width,
        router: b.weight(blk(layer, "ffn_gate_inp.weight"), &[count, d])?,
        scoring: mixture.scoring,
        selection_bias: bias.map(|name| b.weight(name, &[count])).transpose()?,
        groups: mixture.groups,
        normalise: mixture.normalise,
        scale: mixture.scale,
        gate: b.weight(blk(layer, "ffn_gate_exps.weight"), &[count, width, d])?,
        up: b.weight(blk(layer, "ffn_up_exps.weight"), &[count, width, d])?,
        down: b.weight(blk(layer, "ffn_down_exps.weight"), &[count, d, width])?,
        activation: decoder.feed.activation,
    };
    b.experts(x, op)
}
