use edgeformer_core::graph::{GraphBuilder, Value};
use edgeformer_core::{Graph, Result};

use super::blocks::{blk, prenorm, rotate_and_attend};
use crate::hyper::Decoder;

/// Phi-3 (arXiv 2404.14219): Llama with fused projections and, for long contexts, LongRoPE.
pub(super) fn graph(decoder: &Decoder) -> Result<Graph> {
    prenorm(decoder, attention, feed)
}

fn attention(b: &mut GraphBuilder, decoder: &Decoder, layer: usize, x: Value) -> Result<Value> {
    let heads = decoder.attention;
    let q = heads.heads * heads.key_dim;
    let (k, v) = (heads.kv_heads * heads.key_dim, heads.kv_heads * heads.value_dim);
    let fused = b.linear(x, &blk(layer, "attn_qkv"), q + k + v, heads.input_bias)?;
    let qkv = b.split(fused, [q, k, v])?;
    rotate_and_attend(b, decoder, layer, qkv)
}

/// The gate's rows come before the up-projection's in the fused weight, which GGUF calls `ffn_up`.
fn feed(b: &mut GraphBuilder, decoder: &Decoder, layer: usize, x: Value) -> Result<Value> {
    let feed = decoder.feed;
    let fused = b.linear(x, &blk(layer, "ffn_up"), 2 * feed.width, feed.bias)?;
    let [gate, up] = b.split(fused, [feed.width; 2])?;
    let gate = b.activation(gate, feed.activation)?;
    let inner = b.multiply(gate, up)?;
    b.linear(inner, &blk(layer, "ffn_down"), decoder.width, feed.bias)
}
