//! Graphs as texts, as JSON, and everything a builder or a check refuses.

mod check;
mod infer;
mod low_rank;
mod text;

use super::*;
use crate::{Error, Result};

const WIDTH: usize = 16;

fn tokens() -> GraphInput {
    GraphInput::Tokens { vocabulary: 100, context: 32 }
}

fn rope(heads: usize, dims: usize) -> Rope {
    Rope {
        heads,
        dims,
        layout: RopeLayout::Halves,
        base: 10_000.0,
        scaling: RopeScaling::Linear { factor: 2.0 },
    }
}

fn attention() -> Attention {
    Attention {
        heads: 4,
        kv_heads: 2,
        key_dim: 4,
        value_dim: 4,
        scale: 0.5,
        mask: Mask::Causal,
        window: Some(8),
        soft_cap: Some(50.0),
        slot: None,
    }
}

fn latent_attention(b: &mut GraphBuilder) -> Result<LatentAttention> {
    Ok(LatentAttention {
        heads: 2,
        rank: 6,
        nope_dim: 4,
        rope_dim: 2,
        value_dim: 3,
        scale: 0.4,
        up: LatentUp::Fused { weight: b.weight("blk.1.attn_kv_b.weight", &[14, 6])? },
        slot: CacheSlot(0),
    })
}

fn experts(b: &mut GraphBuilder) -> Result<Experts> {
    Ok(Experts {
        count: 8,
        top_k: 2,
        width: 5,
        router: b.weight("blk.1.ffn_gate_inp.weight", &[8, WIDTH])?,
        scoring: Scoring::Sigmoid,
        selection_bias: Some(b.weight("blk.1.exp_probs_b.bias", &[8])?),
        groups: Some(ExpertGroups { count: 4, top: 2, scored_by: 2 }),
        normalise: true,
        scale: 2.5,
        gate: b.weight("blk.1.ffn_gate_exps.weight", &[8, 5, WIDTH])?,
        up: b.weight("blk.1.ffn_up_exps.weight", &[8, 5, WIDTH])?,
        down: b.weight("blk.1.ffn_down_exps.weight", &[8, WIDTH, 5])?,
        activation: Activation::Silu,
    })
}

/// What is wrong with a graph, and where, without its name.
fn problem(error: Error) -> String {
    match error {
        Error::Graph { node, problem, .. } => format!("{node}: {problem}"),
        error => panic!("{error}"),
    }
}

/// A decoder with grouped attention in its first layer, latents and experts in its second.
fn decoder() -> Result<Graph> {
    let mut b = GraphBuilder::new("small", tokens());
    let x = b.embed("token_embd.weight", WIDTH, 4.0)?;

    let h = b.rms_norm(x, "blk.0.attn_norm", 1e-5, 1.0)?;
    let q = b.linear(h, "blk.0.attn_q", 16, true)?;
    let k = b.linear(h, "blk.0.attn_k", 8, false)?;
    let v = b.linear(h, "blk.0.attn_v", 8, false)?;
    let q = b.head_norm(q, "blk.0.attn_q_norm", 4, 1e-6, 0.0)?;
    let (q, k) = (b.rope(q, rope(4, 4))?, b.rope(k, rope(2, 2))?);
    let h = b.attention(q, k, v, attention())?;
    let h = b.linear(h, "blk.0.attn_output", WIDTH, false)?;
    let x = b.add(x, h)?;
    let (gate, up) =
        (b.linear(x, "blk.0.ffn_gate", 24, false)?, b.linear(x, "blk.0.ffn_up", 24, false)?);
    let gate = b.activation(gate, Activation::Gelu)?;
    let h = b.multiply(gate, up)?;
    let h = b.linear(h, "blk.0.ffn_down", WIDTH, false)?;
    let x = b.add(x, h)?;

    let q = b.linear(x, "blk.1.attn_q", 12, false)?;
    let [q_nope, q_rope] = b.split_heads(q, 2, [4, 2])?;
    let kv = b.linear(x, "blk.1.attn_kv_a_mqa", 8, false)?;
    let [latent, k_rope] = b.split(kv, [6, 2])?;
    let (q_rope, k_rope) = (b.rope(q_rope, rope(2, 2))?, b.rope(k_rope, rope(1, 2))?);
    let latents = latent_attention(&mut b)?;
    let h = b.latent_attention([q_nope, q_rope, latent, k_rope], latents)?;
    let h = b.linear(h, "blk.1.attn_output", WIDTH, false)?;
    let experts = experts(&mut b)?;
    let h = b.experts(h, experts)?;
    let x = b.add(x, h)?;

    // Tied: the head is the embedding.
    let table = b.weight("token_embd.weight", &[100, WIDTH])?;
    let logits = b.push(Op::Linear { weight: table, bias: None }, &[x])?[0];
    let logits = b.soft_cap(logits, 30.0)?;
    b.finish(OutputKind::Logits, logits)
}

/// An image classifier.
fn classifier() -> Result<Graph> {
    let mut b = GraphBuilder::new("vit", GraphInput::Pixels { channels: 3, size: [8, 8] });
    let x = b.unfold(Unfold {
        channels: 3,
        size: [8, 8],
        kernel: [4, 4],
        stride: [4, 4],
        padding: [0, 0],
    })?;
    let x = b.linear(x, "v.patch_embd", WIDTH, true)?;
    let x = b.prepend(x, "v.class_embd", 1)?;
    let x = b.position(x, "v.position_embd.weight", 5, 0)?;
    let h = b.layer_norm(x, "v.blk.0.ln1", 1e-6)?;
    let open = Attention {
        kv_heads: 4,
        mask: Mask::Bidirectional,
        window: None,
        soft_cap: None,
        ..attention()
    };
    let h = b.attention(h, h, h, open)?;
    let x = b.concat(&[x, h])?;
    let x = b.pool(x, Pool::Class)?;
    let x = b.scale(x, 0.25)?;
    let scores = b.linear(x, "head", 10, true)?;
    b.finish(OutputKind::ClassScores, scores)
}

#[test]
fn graphs_say_what_they_are() {
    let (decoder, classifier) = (decoder().unwrap(), classifier().unwrap());
    assert!(decoder.is_causal() && decoder.is_decoder());
    assert_eq!((decoder.vocabulary(), decoder.trained_context()), (100, Some(32)));
    assert_eq!(decoder.output_width(), 100);
    let plans: Vec<_> =
        decoder.cache.slots.iter().map(|plan| (plan.elements(), plan.window())).collect();
    assert_eq!(plans, [((8, 8), Some(8)), ((8, 0), None)]);

    assert!(!classifier.is_causal() && !classifier.is_decoder());
    assert_eq!((classifier.vocabulary(), classifier.trained_context()), (0, None));
    assert_eq!(classifier.output_width(), 10);
    let info = classifier.values[classifier.output.value.index()];
    assert_eq!(info.rows, RowKind::Sequence);
}

#[test]
fn errors_name_graph_and_node() {
    let mut b = GraphBuilder::new("g", tokens());
    let error = b.embed("token_embd.weight", 0, 1.0).unwrap_err();
    insta::assert_snapshot!(error, @r#"graph "g", node 0 embed: an output of width 0 (allowed: 1 to 268435456)"#);
}

#[test]
fn a_weight_is_declared_once() {
    let mut b = GraphBuilder::new("g", tokens());
    let first = b.weight("w", &[2, 3]).unwrap();
    assert_eq!(b.weight("w", &[2, 3]).unwrap(), first);
    let error = b.weight("w", &[3, 2]).unwrap_err();
    insta::assert_snapshot!(error, @r#"weight "w": is used with shape [2, 3] and [3, 2]"#);
}
