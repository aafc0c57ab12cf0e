//! Random small decoders: layers of grouped and of latent attention.

use std::sync::Arc;

use edgeformer_conformance::random_model;
use edgeformer_core::graph::{
    Attention, CacheSlot, Graph, GraphBuilder, GraphInput, LatentAttention, LatentUp, Mask,
    OutputKind, Rope, RopeLayout, RopeScaling, Value,
};
use edgeformer_core::{Format, Model, Result};
use proptest::prelude::*;

pub const VOCABULARY: usize = 24;
/// Query heads of every layer.
pub const HEADS: usize = 4;
const WIDTH: usize = 32;

/// The attention of a layer.
#[derive(Debug, Clone)]
pub enum Layer {
    Grouped { kv_heads: usize, key_dim: usize, value_dim: usize, window: Option<usize> },
    Latent { rank: usize, rope_dim: usize, split: bool },
}

/// Layers whose rows every cache format takes.
pub fn layers() -> impl Strategy<Value = Vec<Layer>> {
    let dim = || prop::sample::select(vec![8usize, 16, 24, 32]);
    let kv_heads = prop::sample::select(vec![1usize, 2, 4]);
    let window = prop_oneof![2 => Just(None), 1 => (1..30usize).prop_map(Some)];
    let grouped =
        (kv_heads, dim(), dim(), window).prop_map(|(kv_heads, key_dim, value_dim, window)| {
            Layer::Grouped { kv_heads, key_dim, value_dim, window }
        });
    let latent = (dim(), prop::sample::select(vec![8usize, 16]), any::<bool>())
        .prop_map(|(rank, rope_dim, split)| Layer::Latent { rank, rope_dim, split });
    prop::collection::vec(prop_oneof![2 => grouped, 1 => latent], 1..4)
}

/// A decoder of these layers.
pub fn model(layers: &[Layer], seed: u64) -> Arc<Model> {
    let graph = graph(layers).unwrap();
    Arc::new(random_model(graph, seed, |_| Format::F32).unwrap())
}

fn graph(layers: &[Layer]) -> Result<Graph> {
    let input = GraphInput::Tokens { vocabulary: VOCABULARY, context: 128 };
    let mut graph = GraphBuilder::new("family", input);
    let mut x = graph.embed("token_embd.weight", WIDTH, 1.0)?;
    for (number, layer) in layers.iter().enumerate() {
        let name = format!("blk.{number}");
        let normed = graph.rms_norm(x, &format!("{name}.norm"), 1e-5, 0.0)?;
        let mixed = match *layer {
            Layer::Grouped { kv_heads, key_dim, value_dim, window } => {
                let attention = Attention {
                    heads: HEADS,
                    kv_heads,
                    key_dim,
                    value_dim,
                    scale: 1.0 / (key_dim as f32).sqrt(),
                    mask: Mask::Causal,
                    window,
                    soft_cap: None,
                    slot: None,
                };
                grouped(&mut graph, normed, &name, attention)?
            }
            Layer::Latent { rank, rope_dim, split } => {
                latent(&mut graph, normed, &name, rank, rope_dim, split)?
            }
        };
        let out = graph.linear(mixed, &format!("{name}.o"), WIDTH, false)?;
        x = graph.add(x, out)?;
    }
    let x = graph.rms_norm(x, "output_norm", 1e-5, 0.0)?;
    let logits = graph.linear(x, "output", VOCABULARY, false)?;
    graph.finish(OutputKind::Logits, logits)
}

fn rope(heads: usize, dims: usize, layout: RopeLayout) -> Rope {
    Rope { heads, dims, layout, base: 100.0, scaling: RopeScaling::None }
}

fn grouped(graph: &mut GraphBuilder, x: Value, name: &str, attention: Attention) -> Result<Value> {
    let Attention { heads, kv_heads, key_dim, value_dim, .. } = attention;
    let q = graph.linear(x, &format!("{name}.q"), heads * key_dim, false)?;
    let k = graph.linear(x, &format!("{name}.k"), kv_heads * key_dim, false)?;
    let v = graph.linear(x, &format!("{name}.v"), kv_heads * value_dim, false)?;
    let q = graph.rope(q, rope(heads, key_dim, RopeLayout::Halves))?;
    let k = graph.rope(k, rope(kv_heads, key_dim, RopeLayout::Halves))?;
    graph.attention(q, k, v, attention)
}

fn latent(
    graph: &mut GraphBuilder,
    x: Value,
    name: &str,
    rank: usize,
    rope_dim: usize,
    split: bool,
) -> Result<Value> {
    let (heads, nope_dim, value_dim) = (HEADS, 8, 16);
    let q = graph.linear(x, &format!("{name}.q"), heads * (nope_dim + rope_dim), false)?;
    let [q_nope, q_rope] = graph.split_heads(q, heads, [nope_dim, rope_dim])?;
    let both = graph.linear(x, &format!("{name}.kv_a"), rank + rope_dim, false)?;
    let [latent, k_rope] = graph.split(both, [rank, rope_dim])?;
    let latent = graph.rms_norm(latent, &format!("{name}.kv_a_norm"), 1e-5, 0.0)?;
    let q_rope = graph.rope(q_rope, rope(heads, rope_dim, RopeLayout::Interleaved))?;
    let k_rope = graph.rope(k_rope, rope(1, rope_dim, RopeLayout::Interleaved))?;
    let up = if split {
        LatentUp::Split {
            key: graph.weight(format!("{name}.k_b"), &[heads, rank, nope_dim])?,
            value: graph.weight(format!("{name}.v_b"), &[heads, value_dim, rank])?,
        }
    } else {
        let shape = [heads * (nope_dim + value_dim), rank];
        LatentUp::Fused { weight: graph.weight(format!("{name}.kv_b"), &shape)? }
    };
    let scale = 1.0 / ((nope_dim + rope_dim) as f32).sqrt();
    let slot = CacheSlot(0);
    let attention = LatentAttention { heads, rank, nope_dim, rope_dim, value_dim, scale, up, slot };
    graph.latent_attention([q_nope, q_rope, latent, k_rope], attention)
}
