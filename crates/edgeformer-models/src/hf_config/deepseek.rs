//! `config.json` of DeepSeek-V2 and -V3.

use edgeformer_core::graph::{ExpertGroups, RopeLayout, RopeScaling, Scoring, yarn_mscale};
use serde_json::json;

use super::{decoder, rope};
use crate::Result;
use crate::hyper::{Decoder, Family, Latent, Mixture, Rotary};
use crate::json::Object;

/// Epsilon of the norms of latents: transformers leaves its norm class's default.
const LATENT_EPS: f32 = 1e-6;

/// DeepSeek-V2: softmax routing, by groups where `topk_method` says so.
pub(super) fn v2(config: &Object) -> Result<Decoder> {
    let mut decoder = latent_decoder(config, Family::DeepseekV2, RopeLayout::Interleaved)?;
    decoder.feed.bias = config.flag_or("mlp_bias", false)?;
    let Some(mut mixture) = mixture(config, &decoder)? else { return Ok(decoder) };
    mixture.groups = match config.optional_text("topk_method")? {
        None | Some("greedy") => None,
        Some("group_limited_greedy") => groups(config, 1)?,
        Some(other) => {
            let problem = format!("is {other:?}; known are greedy and group_limited_greedy");
            return Err(config.error("topk_method", problem));
        }
    };
    decoder.experts = Some(mixture);
    Ok(decoder)
}

/// DeepSeek-V3: sigmoid routing with a selection bias, by groups scored by their two best.
pub(super) fn v3(config: &Object) -> Result<Decoder> {
    let interleaved = config.flag_or("rope_interleave", true)?;
    let layout = if interleaved { RopeLayout::Interleaved } else { RopeLayout::Halves };
    let mut decoder = latent_decoder(config, Family::DeepseekV3, layout)?;
    let Some(mut mixture) = mixture(config, &decoder)? else { return Ok(decoder) };
    mixture.scoring = Scoring::Sigmoid;
    mixture.selection_bias = true;
    mixture.normalise = config.flag_or("norm_topk_prob", true)?;
    mixture.groups = groups(config, 2)?;
    decoder.experts = Some(mixture);
    Ok(decoder)
}

fn latent_decoder(config: &Object, family: Family, layout: RopeLayout) -> Result<Decoder> {
    let latent = Latent {
        query_rank: config.optional_size("q_lora_rank")?,
        query_bias: false,
        rank: config.size("kv_lora_rank")?,
        nope_dim: config.size("qk_nope_head_dim")?,
        rope_dim: config.size("qk_rope_head_dim")?,
        value_dim: config.size("v_head_dim")?,
        normed: true,
        norm_eps: LATENT_EPS,
        split: false,
    };
    // Only the rotated part of a head is a head to the rotary embedding.
    let shape = config.clone().or([("head_dim", json!(latent.rope_dim))]);
    let mut decoder = decoder::base(&shape, family)?;
    let rotary = rope::rotary(config, latent.rope_dim, None)?;
    let heads = &mut decoder.attention;
    (heads.key_dim, heads.value_dim) = (latent.nope_dim + latent.rope_dim, latent.value_dim);
    heads.scale = (heads.key_dim as f32).powf(-0.5) * score_scale(config, &rotary)?;
    let bias = config.flag_or("attention_bias", false)?;
    (heads.input_bias, heads.output_bias) = (bias, bias);
    decoder.rotary = Some(Rotary { layout, ..rotary });
    decoder.latent = Some(latent);
    Ok(decoder)
}

/// YaRN's temperature on scores, where `mscale_all_dim` asks for it: `mscale²`.
fn score_scale(config: &Object, rotary: &Rotary) -> Result<f32> {
    let RopeScaling::Yarn { factor, .. } = rotary.scaling else { return Ok(1.0) };
    let parameters = rope::parameters(config, None)?;
    let all = parameters.map(|all| all.optional_number("mscale_all_dim")).transpose()?.flatten();
    match all {
        Some(all) if all != 0.0 => Ok(yarn_mscale(factor, all).powi(2)),
        _ => Ok(1.0),
    }
}

/// Routed experts behind the first dense layers; `None` if all layers are dense.
///
/// Weights are scaled and, for V2, never normalised: transformers reads `norm_topk_prob` for V3
/// alone, and no released V2 sets it.
fn mixture(config: &Object, decoder: &Decoder) -> Result<Option<Mixture>> {
    let dense = config.optional_count("first_k_dense_replace")?.unwrap_or(0);
    if dense >= decoder.layers || config.value("n_routed_experts").is_none() {
        return Ok(None);
    }
    let (count, width) = (config.size("n_routed_experts")?, config.size("moe_intermediate_size")?);
    let shared = config.optional_count("n_shared_experts")?.filter(|&count| count > 0);
    Ok(Some(Mixture {
        layers: (0..decoder.layers).map(|layer| layer >= dense).collect(),
        count,
        top_k: decoder::top_k(config, count)?,
        width,
        shared_width: shared.map(|shared| shared * width),
        scoring: Scoring::Softmax,
        selection_bias: false,
        groups: None,
        normalise: false,
        scale: config.positive_or("routed_scaling_factor", 1.0)?,
    }))
}

/// The groups that are picked first; one group is none.
fn groups(config: &Object, scored_by: usize) -> Result<Option<ExpertGroups>> {
    match config.optional_size("n_group")? {
        None | Some(1) => Ok(None),
        Some(count) => Ok(Some(ExpertGroups { count, top: config.size("topk_group")?, scored_by })),
    }
}
