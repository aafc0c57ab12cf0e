//! Small graphs to put an op into.

use edgeformer_core::Result;
use edgeformer_core::graph::{
    Activation, Attention, CacheSlot, Graph, GraphBuilder, GraphInput, LatentAttention, LatentUp,
    Mask, OutputKind, Rope, RopeLayout, RopeScaling, Value,
};

/// Tokens of the small graphs.
pub(crate) const VOCABULARY: usize = 48;
/// Their width.
pub(crate) const WIDTH: usize = 32;

/// A text graph: an embedding, `body`, a norm and a head of logits.
pub(crate) fn decoder(
    body: impl FnOnce(&mut GraphBuilder, Value) -> Result<Value>,
) -> Result<Graph> {
    let input = GraphInput::Tokens { vocabulary: VOCABULARY, context: 128 };
    let mut builder = GraphBuilder::new("conformance", input);
    let b = &mut builder;
    let x = b.embed("token_embd.weight", WIDTH, 1.0)?;
    let x = body(b, x)?;
    let x = b.rms_norm(x, "output_norm", 1e-5, 0.0)?;
    let logits = b.linear(x, "output", VOCABULARY, false)?;
    builder.finish(OutputKind::Logits, logits)
}

/// A text graph of `body` with a plain attention layer before and behind it, so that every row
/// depends on earlier ones through the op.
pub(crate) fn decoder_around(
    body: impl FnOnce(&mut GraphBuilder, Value) -> Result<Value>,
) -> Result<Graph> {
    decoder(|b, x| {
        let x = attend(b, x, "before", grouped(4, 2, 8))?;
        let x = body(b, x)?;
        attend(b, x, "behind", grouped(4, 4, 8))
    })
}

/// Causal attention of `heads` heads in groups.
pub(crate) fn grouped(heads: usize, kv_heads: usize, dim: usize) -> Attention {
    Attention {
        heads,
        kv_heads,
        key_dim: dim,
        value_dim: dim,
        scale: 1.0 / (dim as f32).sqrt(),
        mask: Mask::Causal,
        window: None,
        soft_cap: None,
        slot: None,
    }
}

/// Rotary embedding of whole heads.
pub(crate) fn plain_rope(heads: usize, dims: usize) -> Rope {
    Rope { heads, dims, layout: RopeLayout::Halves, base: 100.0, scaling: RopeScaling::None }
}

/// A layer of attention with its projections and a residual: `x + Wo attention(norm x)`.
pub(crate) fn attend(
    b: &mut GraphBuilder,
    x: Value,
    name: &str,
    attention: Attention,
) -> Result<Value> {
    attend_rotated(b, x, name, attention, None)
}

/// The same with rotary embedding of queries and keys.
pub(crate) fn attend_rotated(
    b: &mut GraphBuilder,
    x: Value,
    name: &str,
    attention: Attention,
    rope: Option<Rope>,
) -> Result<Value> {
    let Attention { heads, kv_heads, key_dim, value_dim, .. } = attention;
    let h = b.rms_norm(x, &format!("{name}.norm"), 1e-5, 0.0)?;
    let mut q = b.linear(h, &format!("{name}.q"), heads * key_dim, false)?;
    let mut k = b.linear(h, &format!("{name}.k"), kv_heads * key_dim, false)?;
    let v = b.linear(h, &format!("{name}.v"), kv_heads * value_dim, false)?;
    if let Some(rope) = rope {
        q = b.rope(q, Rope { heads, ..rope.clone() })?;
        k = b.rope(k, Rope { heads: kv_heads, ..rope })?;
    }
    let mixed = b.attention(q, k, v, attention)?;
    let width = b.width(x);
    let out = b.linear(mixed, &format!("{name}.o"), width, false)?;
    b.add(x, out)
}

/// A layer of latent attention: 4 heads, rank 24.
pub(crate) fn attend_latents(
    b: &mut GraphBuilder,
    x: Value,
    name: &str,
    split: bool,
) -> Result<Value> {
    let (heads, rank, nope_dim, rope_dim, value_dim) = (4, 24, 8, 4, 12);
    let h = b.rms_norm(x, &format!("{name}.norm"), 1e-5, 0.0)?;
    let q = b.linear(h, &format!("{name}.q"), heads * (nope_dim + rope_dim), false)?;
    let [q_nope, q_rope] = b.split_heads(q, heads, [nope_dim, rope_dim])?;
    let compressed = b.linear(h, &format!("{name}.kv_a"), rank + rope_dim, false)?;
    let [latent, k_rope] = b.split(compressed, [rank, rope_dim])?;
    let latent = b.rms_norm(latent, &format!("{name}.kv_a_norm"), 1e-5, 0.0)?;
    let rope = Rope { layout: RopeLayout::Interleaved, ..plain_rope(heads, rope_dim) };
    let q_rope = b.rope(q_rope, rope.clone())?;
    let k_rope = b.rope(k_rope, Rope { heads: 1, ..rope })?;
    let up = if split {
        LatentUp::Split {
            key: b.weight(format!("{name}.k_b"), &[heads, rank, nope_dim])?,
            value: b.weight(format!("{name}.v_b"), &[heads, value_dim, rank])?,
        }
    } else {
        let shape = [heads * (nope_dim + value_dim), rank];
        LatentUp::Fused { weight: b.weight(format!("{name}.kv_b"), &shape)? }
    };
    let scale = 1.0 / ((nope_dim + rope_dim) as f32).sqrt();
    let slot = CacheSlot(0);
    let attention = LatentAttention { heads, rank, nope_dim, rope_dim, value_dim, scale, up, slot };
    let mixed = b.latent_attention([q_nope, q_rope, latent, k_rope], attention)?;
    let width = b.width(x);
    let out = b.linear(mixed, &format!("{name}.o"), width, false)?;
    b.add(x, out)
}

/// A gated feed-forward layer: `x + Wdown(silu(Wgate h) * Wup h)`.
pub(crate) fn feed_forward(b: &mut GraphBuilder, x: Value, name: &str) -> Result<Value> {
    let width = b.width(x);
    let h = b.rms_norm(x, &format!("{name}.norm"), 1e-5, 0.0)?;
    let gate = b.linear(h, &format!("{name}.gate"), 2 * width, false)?;
    let gate = b.activation(gate, Activation::Silu)?;
    let up = b.linear(h, &format!("{name}.up"), 2 * width, false)?;
    let inner = b.multiply(gate, up)?;
    let out = b.linear(inner, &format!("{name}.down"), width, false)?;
    b.add(x, out)
}

/// Two layers as in small language models: a window, then all positions.
pub(crate) fn two_layers() -> Result<Graph> {
    decoder(|b, x| {
        let window = Attention { window: Some(9), ..grouped(4, 2, 8) };
        let x = attend_rotated(b, x, "blk.0", window, Some(plain_rope(4, 8)))?;
        let x = feed_forward(b, x, "blk.0.ffn")?;
        let x = attend_rotated(b, x, "blk.1", grouped(4, 2, 8), Some(plain_rope(4, 8)))?;
        feed_forward(b, x, "blk.1.ffn")
    })
}

/// Two layers without windows: any length can be truncated to.
pub(crate) fn two_full_layers() -> Result<Graph> {
    decoder(|b, x| {
        let x = attend_rotated(b, x, "blk.0", grouped(4, 1, 8), Some(plain_rope(4, 8)))?;
        let x = feed_forward(b, x, "blk.0.ffn")?;
        let x = attend_rotated(b, x, "blk.1", grouped(4, 2, 8), Some(plain_rope(4, 8)))?;
        feed_forward(b, x, "blk.1.ffn")
    })
}

/// Two layers of latent attention.
pub(crate) fn two_latent_layers() -> Result<Graph> {
    decoder(|b, x| {
        let x = attend_latents(b, x, "blk.0", false)?;
        let x = feed_forward(b, x, "blk.0.ffn")?;
        attend_latents(b, x, "blk.1", true)
    })
}
