use edgeformer_core::graph::{CacheSlot, GraphBuilder, LatentAttention, LatentUp, Value};
use edgeformer_core::{Error, Graph, Result};

use super::blocks::{blk, experts_or_gated, prenorm};
use crate::hyper::{Decoder, Latent, Rotary};

/// DeepSeek-V2 and -V3 (arXiv 2405.04434, 2412.19437): latent attention, and behind the first
/// layers routed experts beside shared ones.
pub(super) fn graph(decoder: &Decoder) -> Result<Graph> {
    prenorm(decoder, attention, experts_or_gated)
}

fn attention(b: &mut GraphBuilder, decoder: &Decoder, layer: usize, x: Value) -> Result<Value> {
    let (latent, rotary) = latent_parts(decoder)?;
    let (heads, bias) = (decoder.attention, decoder.attention.input_bias);
    let q = query(b, decoder, layer, x, latent)?;
    let [q_nope, q_rope] = b.split_heads(q, heads.heads, [latent.nope_dim, latent.rope_dim])?;

    let fused = b.linear(x, &blk(layer, "attn_kv_a_mqa"), latent.rank + latent.rope_dim, bias)?;
    let [compressed, k_rope] = b.split(fused, [latent.rank, latent.rope_dim])?;
    let compressed = match latent.normed {
        true => b.rms_norm(compressed, &blk(layer, "attn_kv_a_norm"), latent.norm_eps, 0.0)?,
        false => compressed,
    };

    let q_rope = b.rope(q_rope, rotary.of(heads.heads))?;
    let k_rope = b.rope(k_rope, rotary.of(1))?;
    let op = LatentAttention {
        heads: heads.heads,
        rank: latent.rank,
        nope_dim: latent.nope_dim,
        rope_dim: latent.rope_dim,
        value_dim: latent.value_dim,
        scale: heads.scale,
        up: up_projection(b, layer, heads.heads, latent)?,
        slot: CacheSlot(0),
    };
    let attended = b.latent_attention([q_nope, q_rope, compressed, k_rope], op)?;
    b.linear(attended, &blk(layer, "attn_output"), decoder.width, heads.output_bias)
}

fn latent_parts(decoder: &Decoder) -> Result<(&Latent, &Rotary)> {
    decoder.latent.as_ref().zip(decoder.rotary.as_ref()).ok_or_else(|| Error::Graph {
        graph: decoder.family.name().into(),
        node: "0".into(),
        problem: "latent attention needs its ranks and a rotary embedding".into(),
    })
}

/// Queries of all heads, through a latent of their own where the model has one.
fn query(
    b: &mut GraphBuilder,
    decoder: &Decoder,
    layer: usize,
    x: Value,
    latent: &Latent,
) -> Result<Value> {
    let width = decoder.attention.heads * (latent.nope_dim + latent.rope_dim);
    let Some(rank) = latent.query_rank else {
        return b.linear(x, &blk(layer, "attn_q"), width, latent.query_bias);
    };
    let compressed = b.linear(x, &blk(layer, "attn_q_a"), rank, decoder.attention.input_bias)?;
    let compressed = b.rms_norm(compressed, &blk(layer, "attn_q_a_norm"), latent.norm_eps, 0.0)?;
    b.linear(compressed, &blk(layer, "attn_q_b"), width, false)
}

fn up_projection(
    b: &mut GraphBuilder,
    layer: usize,
    heads: usize,
    latent: &Latent,
) -> Result<LatentUp> {
    let &Latent { rank, nope_dim, value_dim, split, .. } = latent;
    if split {
        let key = b.weight(blk(layer, "attn_k_b.weight"), &[heads, rank, nope_dim])?;
        let value = b.weight(blk(layer, "attn_v_b.weight"), &[heads, value_dim, rank])?;
        return Ok(LatentUp::Split { key, value });
    }
    let shape = [heads * (nope_dim + value_dim), rank];
    Ok(LatentUp::Fused { weight: b.weight(blk(layer, "attn_kv_b.weight"), &shape)? })
}
