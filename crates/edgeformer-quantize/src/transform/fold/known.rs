//! Architectures and tensors whose place in the graph is known. Any other could read a norm that
//! is about to change, so it is refused.

use edgeformer_models::checkpoint::Checkpoint;

use crate::{Error, Result};

/// What norms there are, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// RMS norms before both halves of a block, alone.
    PreNorm,
    /// The same, gate and up-projection in one matrix.
    FusedGate,
    /// RMS norms before and behind both halves (Gemma 2 and 3).
    Sandwich,
    /// Layer norms: they take the mean away.
    LayerNorm,
}

/// Parts of a block.
const BLOCK: &[&str] = &[
    "attn_norm",
    "ffn_norm",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_qkv",
    "attn_output",
    "attn_out",
    "attn_q_norm",
    "attn_k_norm",
    "attn_q_a",
    "attn_q_a_norm",
    "attn_q_b",
    "attn_kv_a_mqa",
    "attn_kv_a_norm",
    "attn_kv_b",
    "attn_k_b",
    "attn_v_b",
    "attn_rot_embd",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
    "ffn_gate_inp",
    "ffn_gate_exps",
    "ffn_up_exps",
    "ffn_down_exps",
    "ffn_gate_shexp",
    "ffn_up_shexp",
    "ffn_down_shexp",
    "exp_probs_b",
    "post_attention_norm",
    "post_ffw_norm",
    "attn_output_norm",
    "layer_output_norm",
    "ln1",
    "ln2",
];

/// What is outside of blocks.
const OUTSIDE: &[&str] = &[
    "token_embd",
    "position_embd",
    "token_types",
    "token_embd_norm",
    "output_norm",
    "output",
    "rope_freqs",
    "rope_factors_long",
    "rope_factors_short",
    "cls",
    "cls.output",
    "v.patch_embd",
    "v.class_embd",
    "v.position_embd",
    "v.post_ln",
];

/// The kind of a model's architecture.
///
/// # Errors
/// If it is unknown.
pub(in super::super) fn kind(checkpoint: &Checkpoint) -> Result<Kind> {
    match checkpoint.architecture() {
        Some("llama" | "qwen2" | "qwen3" | "qwen3moe" | "deepseek2") => Ok(Kind::PreNorm),
        Some("phi3") => Ok(Kind::FusedGate),
        Some("gemma2" | "gemma3") => Ok(Kind::Sandwich),
        Some("gpt2" | "bert" | "vit" | "clip") => Ok(Kind::LayerNorm),
        other => Err(Error::Request(format!(
            "{}: it is not known which tensors of architecture {:?} read which norms: quantize it without scaling and rotation",
            checkpoint.path().display(),
            other.unwrap_or("nothing")
        ))),
    }
}

/// Whether every tensor is known.
///
/// # Errors
/// The first that is not.
pub(super) fn check(checkpoint: &Checkpoint) -> Result<()> {
    let unknown = |name: &&str| {
        let part = name.strip_suffix(".weight").or_else(|| name.strip_suffix(".bias"));
        let part = part.unwrap_or(name);
        match layer_prefix(part) {
            Some(prefix) => !BLOCK.contains(&&part[prefix.len()..]),
            None => !OUTSIDE.contains(&part),
        }
    };
    match checkpoint.tensors.iter().map(|tensor| tensor.name()).find(unknown) {
        None => Ok(()),
        Some(name) => Err(Error::tensor(
            name,
            "it is not known what it reads: quantize the model without scaling and rotation",
        )),
    }
}

/// The beginnings of the names of every layer (`blk.0.`), in the order in which they appear.
pub(super) fn layers(checkpoint: &Checkpoint) -> Vec<String> {
    let mut layers: Vec<String> = Vec::new();
    for tensor in &checkpoint.tensors {
        let Some(prefix) = layer_prefix(tensor.name()) else { continue };
        if !layers.iter().any(|known| known == prefix) {
            layers.push(prefix.to_owned());
        }
    }
    layers
}

/// `blk.N.` or `v.blk.N.`, if a name begins so.
fn layer_prefix(name: &str) -> Option<&str> {
    let vision = if name.starts_with("v.") { 2 } else { 0 };
    let number = name[vision..].strip_prefix("blk.")?;
    let digits = number.find('.')?;
    number[..digits].parse::<u32>().ok()?;
    Some(&name[..vision + "blk.".len() + digits + 1])
}
