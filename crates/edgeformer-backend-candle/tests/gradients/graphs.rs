//! The smallest graphs that have an op.

use edgeformer_core::Result;
use edgeformer_core::graph::{
    Activation, AdapterScale, Attention, CacheSlot, ExpertGroups, Experts, Graph, GraphBuilder,
    GraphInput, LatentAttention, LatentUp, Mask, Norm, NormKind, Op, OutputKind, Pool, Rope,
    RopeLayout, RopeScaling, Scoring, Unfold, Value,
};

const VOCABULARY: usize = 5;
const WIDTH: usize = 8;

pub type Named = (&'static str, Result<Graph>);

pub fn all() -> Vec<Named> {
    let mut graphs = rows();
    graphs.extend(activations());
    graphs.extend(norms());
    graphs.extend(ropes());
    graphs.extend(attentions());
    graphs.extend(experts());
    graphs.extend(encoders());
    graphs
}

/// An embedding, `body`, and nothing else.
fn text(body: impl FnOnce(&mut GraphBuilder, Value) -> Result<Value>) -> Result<Graph> {
    let mut b = GraphBuilder::new("g", GraphInput::Tokens { vocabulary: VOCABULARY, context: 32 });
    let x = b.embed("table.weight", WIDTH, 1.5)?;
    let x = body(&mut b, x)?;
    b.finish(OutputKind::HiddenStates, x)
}

/// The graph with one trainable weight below a product.
pub fn norm_below_a_product() -> Result<Graph> {
    let mut b = GraphBuilder::new("g", GraphInput::Tokens { vocabulary: VOCABULARY, context: 32 });
    let x = b.embed("table.weight", 256, 1.0)?;
    let x = b.rms_norm(x, "norm", 1e-5, 0.0)?;
    let x = b.linear(x, "output", 64, false)?;
    b.finish(OutputKind::Logits, x)
}

fn rows() -> Vec<Named> {
    vec![
        ("embed", text(|_, x| Ok(x))),
        ("position", text(|b, x| b.position(x, "positions", 9, 2))),
        ("add-row", text(|b, x| b.add_row(x, "types", 3, 1))),
        ("linear", text(|b, x| b.linear(x, "l", 3, true))),
        ("tied", text(|b, x| b.linear(x, "table", VOCABULARY, false))),
        (
            "split-concat",
            text(|b, x| {
                let [p, q] = b.split_heads(x, 2, [1, 3])?;
                let [r, s] = b.split(x, [3, 5])?;
                b.concat(&[q, s, p, r])
            }),
        ),
        (
            "multiply-add",
            text(|b, x| {
                let y = b.linear(x, "l", WIDTH, false)?;
                let z = b.multiply(x, y)?;
                b.add(z, x)
            }),
        ),
        (
            "adapter-scale",
            text(|b, x| {
                let narrow = b.linear(x, "a", 2, false)?;
                let scale = AdapterScale { adapter: 1, factor: 0.8, usual: -1.5 };
                let narrow = b.adapter_scale(narrow, scale)?;
                b.linear(narrow, "b", WIDTH, false)
            }),
        ),
        (
            "scale-cap",
            text(|b, x| {
                let x = b.scale(x, -1.7)?;
                b.soft_cap(x, 1.3)
            }),
        ),
    ]
}

fn activations() -> Vec<Named> {
    [
        ("silu", Activation::Silu),
        ("gelu", Activation::Gelu),
        ("gelu-tanh", Activation::GeluTanh),
        ("relu", Activation::Relu),
        ("sigmoid", Activation::Sigmoid),
        ("tanh", Activation::Tanh),
    ]
    .map(|(name, activation)| (name, text(|b, x| b.activation(x, activation))))
    .into()
}

fn norms() -> Vec<Named> {
    let bare = |kind, groups| {
        let (weight, bias) = (None, None);
        Op::Norm(Norm { kind, groups, weight, bias, eps: 1e-3, weight_offset: 0.0 })
    };
    vec![
        ("rms", text(|b, x| b.rms_norm(x, "norm", 1e-3, 1.0))),
        ("heads", text(|b, x| b.head_norm(x, "norm", 2, 1e-3, 0.0))),
        ("layer", text(|b, x| b.layer_norm(x, "norm", 1e-3))),
        ("bare", text(|b, x| Ok(b.push(bare(NormKind::Layer, 2), &[x])?[0]))),
    ]
}

fn ropes() -> Vec<Named> {
    let rope = |dims, layout| Rope {
        heads: 2,
        dims,
        layout,
        base: 50.0,
        scaling: RopeScaling::Linear { factor: 2.0 },
    };
    vec![
        ("rope-halves", text(|b, x| b.rope(x, rope(4, RopeLayout::Halves)))),
        ("rope-part", text(|b, x| b.rope(x, rope(2, RopeLayout::Halves)))),
        ("rope-interleaved", text(|b, x| b.rope(x, rope(4, RopeLayout::Interleaved)))),
    ]
}

fn attend(b: &mut GraphBuilder, x: Value, attention: Attention) -> Result<Value> {
    let Attention { heads, kv_heads, key_dim, value_dim, .. } = attention;
    let q = b.linear(x, "q", heads * key_dim, false)?;
    let k = b.linear(x, "k", kv_heads * key_dim, false)?;
    let v = b.linear(x, "v", kv_heads * value_dim, false)?;
    b.attention(q, k, v, attention)
}

fn attention() -> Attention {
    Attention {
        heads: 4,
        kv_heads: 2,
        key_dim: 2,
        value_dim: 3,
        scale: 0.8,
        mask: Mask::Causal,
        window: None,
        soft_cap: None,
        slot: None,
    }
}

fn attentions() -> Vec<Named> {
    let both = Attention { mask: Mask::Bidirectional, ..attention() };
    let window = Attention { window: Some(2), soft_cap: Some(0.9), ..attention() };
    vec![
        ("causal", text(|b, x| attend(b, x, attention()))),
        ("window-cap", text(|b, x| attend(b, x, window))),
        ("bidirectional", text(|b, x| attend(b, x, both))),
        // Few dimensions a latent: queries are absorbed; many: latents are expanded.
        ("latent-absorbed", text(|b, x| latents(b, x, 2, false))),
        ("latent-absorbed-split", text(|b, x| latents(b, x, 2, true))),
        ("latent-expanded", text(|b, x| latents(b, x, 5, false))),
        ("latent-expanded-split", text(|b, x| latents(b, x, 5, true))),
    ]
}

fn latents(b: &mut GraphBuilder, x: Value, rank: usize, split: bool) -> Result<Value> {
    let (heads, nope_dim, rope_dim, value_dim) = (2, 3, 2, 3);
    let q_nope = b.linear(x, "q_nope", heads * nope_dim, false)?;
    let q_rope = b.linear(x, "q_rope", heads * rope_dim, false)?;
    let latent = b.linear(x, "latent", rank, false)?;
    let k_rope = b.linear(x, "k_rope", rope_dim, false)?;
    let up = match split {
        true => LatentUp::Split {
            key: b.weight("key", &[heads, rank, nope_dim])?,
            value: b.weight("value", &[heads, value_dim, rank])?,
        },
        false => {
            LatentUp::Fused { weight: b.weight("up", &[heads * (nope_dim + value_dim), rank])? }
        }
    };
    let (scale, slot) = (0.7, CacheSlot(0));
    let attention = LatentAttention { heads, rank, nope_dim, rope_dim, value_dim, scale, up, slot };
    b.latent_attention([q_nope, q_rope, latent, k_rope], attention)
}

fn experts() -> Vec<Named> {
    vec![
        ("experts-softmax", text(|b, x| mixture(b, x, false))),
        ("experts-sigmoid", text(|b, x| mixture(b, x, true))),
    ]
}

fn mixture(b: &mut GraphBuilder, x: Value, sigmoid: bool) -> Result<Value> {
    let (count, width) = (4, 3);
    let mut experts = Experts {
        count,
        top_k: 2,
        width,
        router: b.weight("router", &[count, WIDTH])?,
        scoring: Scoring::Softmax,
        selection_bias: None,
        groups: None,
        normalise: false,
        scale: 1.5,
        gate: b.weight("gate", &[count, width, WIDTH])?,
        up: b.weight("up", &[count, width, WIDTH])?,
        down: b.weight("down", &[count, WIDTH, width])?,
        activation: Activation::Silu,
    };
    if sigmoid {
        experts.scoring = Scoring::Sigmoid;
        experts.selection_bias = Some(b.weight("bias", &[count])?);
        experts.groups = Some(ExpertGroups { count: 2, top: 1, scored_by: 2 });
        experts.normalise = true;
    }
    b.experts(x, experts)
}

fn encoders() -> Vec<Named> {
    let pooled = |pool| text(|b, x| b.pool(x, pool));
    vec![
        ("pool-mean", pooled(Pool::Mean)),
        ("pool-class", pooled(Pool::Class)),
        ("pool-last", pooled(Pool::Last)),
        ("pool-max", pooled(Pool::Max)),
        ("patches", patches()),
    ]
}

/// Windows of an image, a class token, attention over both.
fn patches() -> Result<Graph> {
    let (channels, size) = (2, [4, 3]);
    let mut b = GraphBuilder::new("g", GraphInput::Pixels { channels, size });
    let unfold = Unfold { channels, size, kernel: [2, 2], stride: [2, 1], padding: [0, 1] };
    let x = b.unfold(unfold)?;
    let x = b.linear(x, "patch", WIDTH, true)?;
    let x = b.prepend(x, "class", 1)?;
    let x = attend(&mut b, x, Attention { mask: Mask::Bidirectional, ..attention() })?;
    b.finish(OutputKind::HiddenStates, x)
}
