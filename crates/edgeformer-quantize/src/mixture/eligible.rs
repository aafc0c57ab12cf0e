//! Which tensors are quantized at all.

/// Parts of names of matrices that stay as they are: norms, routers, what is small, and what is
/// not multiplied with activations.
const KEPT: [&str; 34] = [
    "_norm.weight",
    "ffn_gate_inp.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
];

/// Positions and token types, of models that have them.
const TABLES: [&str; 2] = ["position_embd.weight", "token_types.weight"];

/// Whether a tensor of that name and shape is quantized.
pub fn eligible(name: &str, shape: &[usize]) -> bool {
    // GGUF does not count outer dimensions of one.
    let dimensions = shape.len() - shape.iter().take_while(|&&size| size == 1).count();
    dimensions >= 2
        && name.ends_with("weight")
        && !TABLES.contains(&name)
        && !KEPT.iter().any(|kept| name.contains(kept))
}
