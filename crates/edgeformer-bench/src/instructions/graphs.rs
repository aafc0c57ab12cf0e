//! The graphs of the cases.

use edgeformer_core::graph::*;
use edgeformer_core::{Graph, Result};

use super::case::{Case, Part};

/// Tokens that the models know.
pub(super) const VOCABULARY: usize = 64;

/// The weight that tokens are looked up in.
pub(super) const TABLE: &str = "token_embd.weight";

/// Columns of a row, where a case does not say otherwise: a multiple of every format's block.
const WIDTH: usize = 256;
/// Query heads.
const HEADS: usize = 8;
/// Key-value heads.
const KV_HEADS: usize = 2;
/// Columns of a head.
const HEAD: usize = 32;

/// The graph of a case.
///
/// # Errors
/// If its shapes do not fit, which a test excludes.
pub(super) fn graph(case: &Case) -> Result<Graph> {
    let context = case.depth + case.tokens;
    let input = GraphInput::Tokens { vocabulary: VOCABULARY, context };
    let mut graph = GraphBuilder::new(case.name.as_str(), input);
    let value = build(&mut graph, case.part)?;
    let kind = match case.part {
        Part::Decoder => OutputKind::Logits,
        _ => OutputKind::HiddenStates,
    };
    graph.finish(kind, value)
}

fn build(graph: &mut GraphBuilder, part: Part) -> Result<Value> {
    match part {
        Part::Linear { input, output } => {
            let x = graph.embed(TABLE, input, 1.0)?;
            graph.linear(x, "matrix", output, false)
        }
        Part::Norms(kind) => norms(graph, kind),
        Part::Gate => {
            let gated = graph.embed(TABLE, 2 * WIDTH, 1.0)?;
            let [gate, up] = graph.split(gated, [WIDTH, WIDTH])?;
            let gate = graph.activation(gate, Activation::Silu)?;
            graph.multiply(gate, up)
        }
        Part::Rope => {
            let x = graph.embed(TABLE, HEADS * HEAD, 1.0)?;
            graph.rope(x, rope(HEADS, HEAD))
        }
        Part::Grouped => {
            let x = graph.embed(TABLE, (HEADS + 2 * KV_HEADS) * HEAD, 1.0)?;
            let widths = [HEADS * HEAD, KV_HEADS * HEAD, KV_HEADS * HEAD];
            let [q, k, v] = graph.split(x, widths)?;
            grouped(graph, [q, k, v])
        }
        Part::Latent => latent(graph),
        Part::Experts => experts(graph),
        Part::Decoder => decoder(graph),
    }
}

/// Four norms, one behind the other, so that little else is counted.
fn norms(graph: &mut GraphBuilder, kind: NormKind) -> Result<Value> {
    let mut x = graph.embed(TABLE, WIDTH, 1.0)?;
    for index in 0..4 {
        let name = format!("norm.{index}");
        x = match kind {
            NormKind::Rms => graph.rms_norm(x, &name, 1e-6, 0.0)?,
            NormKind::Layer => graph.layer_norm(x, &name, 1e-6)?,
        };
    }
    Ok(x)
}

fn rope(heads: usize, dims: usize) -> Rope {
    let layout = RopeLayout::Halves;
    Rope { heads, dims, layout, base: 10_000.0, scaling: RopeScaling::None }
}

fn grouped(graph: &mut GraphBuilder, [q, k, v]: [Value; 3]) -> Result<Value> {
    let attention = Attention {
        heads: HEADS,
        kv_heads: KV_HEADS,
        key_dim: HEAD,
        value_dim: HEAD,
        scale: (HEAD as f32).sqrt().recip(),
        mask: Mask::Causal,
        window: None,
        soft_cap: None,
        slot: None,
    };
    graph.attention(q, k, v, attention)
}

fn latent(graph: &mut GraphBuilder) -> Result<Value> {
    let (heads, rank, nope_dim, rope_dim, value_dim) = (4, 128, 32, 32, 32);
    let widths = [heads * nope_dim, heads * rope_dim, rank, rope_dim];
    let x = graph.embed(TABLE, widths.iter().sum(), 1.0)?;
    let inputs = graph.split(x, widths)?;
    let weight = graph.weight("kv_b.weight", &[heads * (nope_dim + value_dim), rank])?;
    let attention = LatentAttention {
        heads,
        rank,
        nope_dim,
        rope_dim,
        value_dim,
        scale: ((nope_dim + rope_dim) as f32).sqrt().recip(),
        up: LatentUp::Fused { weight },
        slot: CacheSlot(0),
    };
    graph.latent_attention(inputs, attention)
}

fn experts(graph: &mut GraphBuilder) -> Result<Value> {
    let x = graph.embed(TABLE, WIDTH, 1.0)?;
    let (count, width) = (8, 64);
    let experts = Experts {
        count,
        top_k: 2,
        width,
        router: graph.weight("router.weight", &[count, WIDTH])?,
        scoring: Scoring::Softmax,
        selection_bias: None,
        groups: None,
        normalise: true,
        scale: 1.0,
        gate: graph.weight("gate_exps.weight", &[count, width, WIDTH])?,
        up: graph.weight("up_exps.weight", &[count, width, WIDTH])?,
        down: graph.weight("down_exps.weight", &[count, WIDTH, width])?,
        activation: Activation::Silu,
    };
    graph.experts(x, experts)
}

fn decoder(graph: &mut GraphBuilder) -> Result<Value> {
    let inner = 2 * WIDTH;
    let mut x = graph.embed(TABLE, WIDTH, 1.0)?;
    for layer in 0..2 {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let normed = graph.rms_norm(x, &name("attn_norm"), 1e-5, 0.0)?;
        let q = graph.linear(normed, &name("attn_q"), HEADS * HEAD, false)?;
        let k = graph.linear(normed, &name("attn_k"), KV_HEADS * HEAD, false)?;
        let v = graph.linear(normed, &name("attn_v"), KV_HEADS * HEAD, false)?;
        let q = graph.rope(q, rope(HEADS, HEAD))?;
        let k = graph.rope(k, rope(KV_HEADS, HEAD))?;
        let seen = grouped(graph, [q, k, v])?;
        let seen = graph.linear(seen, &name("attn_output"), WIDTH, false)?;
        x = graph.add(x, seen)?;

        let normed = graph.rms_norm(x, &name("ffn_norm"), 1e-5, 0.0)?;
        let gate = graph.linear(normed, &name("ffn_gate"), inner, false)?;
        let up = graph.linear(normed, &name("ffn_up"), inner, false)?;
        let gate = graph.activation(gate, Activation::Silu)?;
        let gated = graph.multiply(gate, up)?;
        let down = graph.linear(gated, &name("ffn_down"), WIDTH, false)?;
        x = graph.add(x, down)?;
    }
    let x = graph.rms_norm(x, "output_norm", 1e-5, 0.0)?;
    graph.linear(x, "output", VOCABULARY, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instructions::cases;

    #[test]
    fn every_case_has_a_graph() {
        for case in cases() {
            let graph = graph(&case).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            assert_eq!(graph.is_causal(), case.depth > 0, "{}", case.name);
        }
    }
}
