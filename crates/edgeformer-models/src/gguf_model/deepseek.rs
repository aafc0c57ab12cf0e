//! Architecture `deepseek2`: DeepSeek-V2 and -V3, in the older and the newer form of files.

use edgeformer_core::graph::{ExpertGroups, RopeLayout, Scoring};

use super::keys::Keys;
use super::{pre_norm, rope};
use crate::Result;
use crate::hyper::{Decoder, Family, Latent, Mixture};

/// Our own key, for models whose norms of latents have another epsilon than the layers' norms:
/// llama.cpp knows one for both.
pub(crate) const LATENT_EPS: &str = "attention.latent_norm_rms_epsilon";

/// Newer files are of one key-value head as wide as a latent, and state the heads' own widths as
/// `key_length_mla` and `value_length_mla`; older ones state those directly. Files converted from
/// ordinary attention may lack the norm of latents and have biases (`edgeformer-quantize`).
pub(super) fn decoder(keys: &Keys<'_>) -> Result<Decoder> {
    let mut decoder = pre_norm(keys, Family::DeepseekV2, RopeLayout::Interleaved)?;
    let latent = latent(keys, &decoder)?;
    let key_dim = latent.nope_dim + latent.rope_dim;
    let heads = &mut decoder.attention;
    (heads.key_dim, heads.value_dim, heads.kv_heads) = (key_dim, latent.value_dim, heads.heads);
    heads.scale = (key_dim as f32).powf(-0.5) * rope::score_mscale(keys)?.powi(2);
    heads.input_bias = keys.has("blk.0.attn_kv_a_mqa.bias");
    decoder.windows = vec![None; decoder.layers];
    decoder.latent = Some(latent);

    decoder.experts = mixture(keys, &decoder)?;
    decoder.family = match scoring(keys)? {
        Scoring::Sigmoid => Family::DeepseekV3,
        _ => Family::DeepseekV2,
    };
    Ok(decoder)
}

fn latent(keys: &Keys<'_>, decoder: &Decoder) -> Result<Latent> {
    let rope_dim = keys.size("rope.dimension_count")?;
    let (key, key_dim) = own_or(keys, "attention.key_length_mla", "attention.key_length")?;
    let (_, value_dim) = own_or(keys, "attention.value_length_mla", "attention.value_length")?;
    let nope_dim = key_dim.checked_sub(rope_dim).filter(|&dim| dim > 0).ok_or_else(|| {
        keys.error(key, format!("is {key_dim}, it must be above the {rope_dim} rotated columns"))
    })?;
    let direct = keys.has("blk.0.attn_q.weight");
    let query_rank = if direct { None } else { Some(keys.size("attention.q_lora_rank")?) };
    Ok(Latent {
        query_rank,
        query_bias: direct && keys.has("blk.0.attn_q.bias"),
        rank: keys.size("attention.kv_lora_rank")?,
        nope_dim,
        rope_dim,
        value_dim,
        normed: keys.has("blk.0.attn_kv_a_norm.weight"),
        norm_eps: keys.optional_positive(LATENT_EPS)?.unwrap_or(decoder.norm_eps),
        split: !keys.has("blk.0.attn_kv_b.weight"),
    })
}

fn own_or(
    keys: &Keys<'_>,
    newer: &'static str,
    older: &'static str,
) -> Result<(&'static str, usize)> {
    match keys.optional_size(newer)? {
        Some(size) => Ok((newer, size)),
        None => Ok((older, keys.size(older)?)),
    }
}

fn mixture(keys: &Keys<'_>, decoder: &Decoder) -> Result<Option<Mixture>> {
    let count = keys.optional_count("expert_count")?.unwrap_or(0);
    let dense = keys.optional_count("leading_dense_block_count")?.unwrap_or(0);
    if count == 0 || dense >= decoder.layers {
        return Ok(None);
    }
    let width = keys.size("expert_feed_forward_length")?;
    let shared = keys.optional_count("expert_shared_count")?.filter(|&count| count > 0);
    let scoring = scoring(keys)?;
    Ok(Some(Mixture {
        layers: (0..decoder.layers).map(|layer| layer >= dense).collect(),
        count,
        top_k: keys.top_k(count)?,
        width,
        shared_width: shared.map(|shared| shared * width),
        scoring,
        selection_bias: keys.has(&format!("blk.{dense}.exp_probs_b.bias")),
        groups: groups(keys, scoring)?,
        normalise: keys.flag("expert_weights_norm")?.unwrap_or(false),
        scale: keys.optional_positive("expert_weights_scale")?.unwrap_or(1.0),
    }))
}

/// What V2 and V3 are told apart by. Files of V2 were written before the key was.
fn scoring(keys: &Keys<'_>) -> Result<Scoring> {
    match keys.optional_count("expert_gating_func")? {
        None | Some(0 | 1) => Ok(Scoring::Softmax),
        Some(2) => Ok(Scoring::Sigmoid),
        Some(other) => {
            let problem = format!("is {other}; known are 1 (softmax) and 2 (sigmoid)");
            Err(keys.error("expert_gating_func", problem))
        }
    }
}

/// V2 scores a group by its best expert, V3 by its two best.
fn groups(keys: &Keys<'_>, scoring: Scoring) -> Result<Option<ExpertGroups>> {
    let count = keys.optional_count("expert_group_count")?.unwrap_or(1);
    if count <= 1 {
        return Ok(None);
    }
    let scored_by = if scoring == Scoring::Sigmoid { 2 } else { 1 };
    Ok(Some(ExpertGroups { count, top: keys.size("expert_group_used_count")?, scored_by }))
}
