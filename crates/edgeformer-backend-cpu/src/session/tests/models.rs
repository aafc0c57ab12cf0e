//! Models in miniature: every op that a decoder may have, with weights from a seed.

use std::sync::Arc;

use edgeformer_core::graph::*;
use edgeformer_core::{Format, Model, Result, Tensor, Weight, Weights};

pub const VOCABULARY: usize = 48;
const WIDTH: usize = 64;

/// What a miniature decoder is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    pub window: Option<usize>,
    pub latent: bool,
    pub experts: bool,
    pub format: Format,
}

impl Parts {
    pub const ALL: [Self; 5] = {
        let plain = Self { window: None, latent: false, experts: false, format: Format::F32 };
        [
            plain,
            Self { window: Some(5), format: Format::Q8_0, ..plain },
            Self { experts: true, format: Format::Q4_0, ..plain },
            Self { latent: true, format: Format::F16, ..plain },
            Self { latent: true, experts: true, format: Format::Q8_0, ..plain },
        ]
    };
}

fn rope(heads: usize, dims: usize) -> Rope {
    let layout = RopeLayout::Halves;
    Rope { heads, dims, layout, base: 10_000.0, scaling: RopeScaling::None }
}

fn grouped(
    graph: &mut GraphBuilder,
    x: Value,
    layer: usize,
    window: Option<usize>,
) -> Result<Value> {
    let (heads, kv_heads, dim) = (4, 2, 16);
    let q = graph.linear(x, &format!("blk.{layer}.attn_q"), heads * dim, true)?;
    let k = graph.linear(x, &format!("blk.{layer}.attn_k"), kv_heads * dim, false)?;
    let v = graph.linear(x, &format!("blk.{layer}.attn_v"), kv_heads * dim, false)?;
    let q = graph.head_norm(q, &format!("blk.{layer}.attn_q_norm"), heads, 1e-6, 1.0)?;
    let q = graph.rope(q, rope(heads, dim))?;
    let k = graph.rope(k, rope(kv_heads, dim))?;
    let attention = Attention {
        heads,
        kv_heads,
        key_dim: dim,
        value_dim: dim,
        scale: 0.25,
        mask: Mask::Causal,
        window,
        soft_cap: Some(20.0),
        slot: None,
    };
    graph.attention(q, k, v, attention)
}

fn latent(graph: &mut GraphBuilder, x: Value, layer: usize) -> Result<Value> {
    let (heads, rank, nope_dim, rope_dim, value_dim) = (4, 32, 16, 8, 16);
    let q =
        graph.linear(x, &format!("blk.{layer}.attn_q"), heads * (nope_dim + rope_dim), false)?;
    let [q_nope, q_rope] = graph.split_heads(q, heads, [nope_dim, rope_dim])?;
    let kv = graph.linear(x, &format!("blk.{layer}.attn_kv_a"), rank + rope_dim, false)?;
    let [compressed, k_rope] = graph.split(kv, [rank, rope_dim])?;
    let compressed =
        graph.rms_norm(compressed, &format!("blk.{layer}.attn_kv_a_norm"), 1e-6, 0.0)?;
    let q_rope = graph.rope(q_rope, rope(heads, rope_dim))?;
    let k_rope = graph.rope(k_rope, rope(1, rope_dim))?;
    let shape = [heads * (nope_dim + value_dim), rank];
    let weight = graph.weight(format!("blk.{layer}.attn_kv_b.weight"), &shape)?;
    let attention = LatentAttention {
        heads,
        rank,
        nope_dim,
        rope_dim,
        value_dim,
        scale: 0.2,
        up: LatentUp::Fused { weight },
        slot: CacheSlot(0),
    };
    graph.latent_attention([q_nope, q_rope, compressed, k_rope], attention)
}

fn experts(graph: &mut GraphBuilder, x: Value, layer: usize) -> Result<Value> {
    let (count, width) = (6, 32);
    let name = |part: &str| format!("blk.{layer}.ffn_{part}_exps.weight");
    let experts = Experts {
        count,
        top_k: 2,
        width,
        router: graph.weight(format!("blk.{layer}.ffn_gate_inp.weight"), &[count, WIDTH])?,
        scoring: Scoring::Sigmoid,
        selection_bias: Some(graph.weight(format!("blk.{layer}.exp_probs_b.bias"), &[count])?),
        groups: Some(ExpertGroups { count: 3, top: 2, scored_by: 2 }),
        normalise: true,
        scale: 1.5,
        gate: graph.weight(name("gate"), &[count, width, WIDTH])?,
        up: graph.weight(name("up"), &[count, width, WIDTH])?,
        down: graph.weight(name("down"), &[count, WIDTH, width])?,
        activation: Activation::Silu,
    };
    graph.experts(x, experts)
}

fn feed_forward(graph: &mut GraphBuilder, x: Value, layer: usize) -> Result<Value> {
    let gate = graph.linear(x, &format!("blk.{layer}.ffn_gate"), 96, false)?;
    let up = graph.linear(x, &format!("blk.{layer}.ffn_up"), 96, false)?;
    let gate = graph.activation(gate, Activation::GeluTanh)?;
    let inner = graph.multiply(gate, up)?;
    graph.linear(inner, &format!("blk.{layer}.ffn_down"), WIDTH, false)
}

/// `positions` is what its position table knows, two of them before the first.
fn graph(parts: Parts, positions: usize) -> Result<Graph> {
    let input = GraphInput::Tokens { vocabulary: VOCABULARY, context: 64 };
    let mut graph = GraphBuilder::new("miniature", input);
    let mut x = graph.embed("token_embd.weight", WIDTH, 2.0)?;
    x = graph.position(x, "position_embd.weight", positions, 2)?;
    for layer in 0..2 {
        let normed = graph.rms_norm(x, &format!("blk.{layer}.attn_norm"), 1e-6, 0.0)?;
        let seen = match parts.latent {
            true => latent(&mut graph, normed, layer)?,
            false => grouped(&mut graph, normed, layer, parts.window)?,
        };
        let seen = graph.linear(seen, &format!("blk.{layer}.attn_output"), WIDTH, false)?;
        x = graph.add(x, seen)?;
        let normed = graph.layer_norm(x, &format!("blk.{layer}.ffn_norm"), 1e-6)?;
        let forward = match parts.experts {
            true => experts(&mut graph, normed, layer)?,
            false => feed_forward(&mut graph, normed, layer)?,
        };
        x = graph.add(x, forward)?;
    }
    let x = graph.rms_norm(x, "output_norm", 1e-6, 0.0)?;
    let logits = graph.linear(x, "output", VOCABULARY, false)?;
    let logits = graph.scale(logits, 0.5)?;
    let logits = graph.soft_cap(logits, 30.0)?;
    graph.finish(OutputKind::Logits, logits)
}

/// Weights from a seed: matrices in `format` where their rows allow it, vectors in f32.
pub fn weights(graph: &Graph, format: Format) -> Weights {
    let mut state = 7u64;
    let mut weights = Weights::default();
    for info in &graph.weights {
        let values: Vec<f32> = (0..info.shape.iter().product::<usize>())
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.6
            })
            .collect();
        let vector = info.shape.len() == 1;
        let format = if vector { Format::F32 } else { format };
        let tensor = Tensor::quantize(format, info.shape.clone(), &values).unwrap();
        weights.insert(info.name.clone(), Weight::whole(tensor));
    }
    weights
}

/// A decoder of two layers.
pub fn decoder(parts: Parts) -> Arc<Model> {
    with_positions(parts, 70)
}

/// A decoder that knows 1100 positions.
pub fn long_decoder(parts: Parts) -> Arc<Model> {
    with_positions(parts, 1102)
}

fn with_positions(parts: Parts, positions: usize) -> Arc<Model> {
    let graph = graph(parts, positions).unwrap();
    let weights = weights(&graph, parts.format);
    Arc::new(Model { graph, weights })
}
