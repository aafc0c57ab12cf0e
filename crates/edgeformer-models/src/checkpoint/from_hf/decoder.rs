//! Keys of decoders.

use edgeformer_core::graph::Scoring;

use super::keys::Writer;
use super::{LLAMA3, MODEL_TYPE, rope};
use crate::Result;
use crate::gguf::MetadataArray;
use crate::gguf_model::LATENT_EPS;
use crate::hyper::{Decoder, Family, Latent, Mixture};
use crate::json::Object;
use edgeformer_core::graph::RopeScaling;

pub(super) fn keys(keys: &mut Writer, decoder: &Decoder, config: &Object) -> Result<()> {
    keys.size("block_count", decoder.layers);
    keys.size("context_length", decoder.context);
    keys.size("embedding_length", decoder.width);
    keys.size("feed_forward_length", decoder.feed.width);
    keys.size("vocab_size", decoder.vocabulary);
    let eps = match decoder.family {
        Family::Gpt2 => "attention.layer_norm_epsilon",
        _ => "attention.layer_norm_rms_epsilon",
    };
    keys.own(eps, decoder.norm_eps);
    keys.size("attention.head_count", decoder.attention.heads);
    match &decoder.latent {
        Some(latent) => self::latent(keys, decoder, latent),
        None => heads(keys, decoder),
    }
    windows(keys, decoder);
    caps(keys, decoder);
    rope::keys(keys, decoder, config)?;
    if let Some(mixture) = &decoder.experts {
        experts(keys, decoder, mixture);
    } else if decoder.latent.is_some() {
        no_experts(keys, decoder);
    }
    if decoder.family == Family::Mistral {
        keys.set(MODEL_TYPE, "mistral".to_owned());
    }
    if let Some(&RopeScaling::Llama3 {
        factor,
        low_freq_factor,
        high_freq_factor,
        original_context,
    }) = decoder.rotary.as_ref().map(|rotary| &rotary.scaling)
    {
        let numbers = [factor, low_freq_factor, high_freq_factor, original_context as f32];
        keys.set(LLAMA3, &numbers[..]);
    }
    Ok(())
}

fn heads(keys: &mut Writer, decoder: &Decoder) {
    let heads = decoder.attention;
    keys.size("attention.head_count_kv", heads.kv_heads);
    if decoder.rotary.is_some() {
        keys.size("attention.key_length", heads.key_dim);
        keys.size("attention.value_length", heads.value_dim);
    }
    if heads.scale != (heads.key_dim as f32).powf(-0.5) || is_gemma(decoder) {
        keys.own("attention.scale", heads.scale);
    }
}

fn is_gemma(decoder: &Decoder) -> bool {
    matches!(decoder.family, Family::Gemma2 | Family::Gemma3)
}

/// One key-value head as wide as a latent, and beside it what heads have of their own: the form
/// that llama.cpp reads since it knows latent attention.
fn latent(keys: &mut Writer, decoder: &Decoder, latent: &Latent) {
    keys.size("attention.head_count_kv", 1);
    keys.optional_size("attention.q_lora_rank", latent.query_rank);
    keys.size("attention.kv_lora_rank", latent.rank);
    keys.size("attention.key_length", latent.rank + latent.rope_dim);
    keys.size("attention.value_length", latent.rank);
    keys.size("attention.key_length_mla", latent.nope_dim + latent.rope_dim);
    keys.size("attention.value_length_mla", latent.value_dim);
    if latent.norm_eps != decoder.norm_eps {
        keys.own(LATENT_EPS, latent.norm_eps);
    }
}

/// The window, and which layers have it where not all do.
fn windows(keys: &mut Writer, decoder: &Decoder) {
    let Some(window) = decoder.windows.iter().flatten().next() else { return };
    keys.size("attention.sliding_window", *window);
    if decoder.windows.iter().all(Option::is_some) && !is_gemma(decoder) {
        return;
    }
    let key = "attention.sliding_window_pattern";
    match pattern(&decoder.windows).filter(|_| is_gemma(decoder)) {
        Some(pattern) => keys.size(key, pattern),
        None => {
            keys.own(key, MetadataArray::bools(decoder.windows.iter().map(Option::is_some)));
        }
    }
}

/// Every how manyth layer has no window, if that is the rule.
fn pattern(windows: &[Option<usize>]) -> Option<usize> {
    let pattern = windows.iter().position(Option::is_none)? + 1;
    let rule = |layer: usize| !(layer + 1).is_multiple_of(pattern);
    windows
        .iter()
        .enumerate()
        .all(|(layer, window)| window.is_some() == rule(layer))
        .then_some(pattern)
}

/// Gemma 2's caps have defaults, so that none is stated too.
fn caps(keys: &mut Writer, decoder: &Decoder) {
    let default = (decoder.family == Family::Gemma2).then_some(0.0);
    if let Some(cap) = decoder.attention.soft_cap.or(default) {
        keys.own("attn_logit_softcapping", cap);
    }
    if let Some(cap) = decoder.logit_cap.or(default) {
        keys.own("final_logit_softcapping", cap);
    }
}

fn experts(keys: &mut Writer, decoder: &Decoder, mixture: &Mixture) {
    keys.size("expert_count", mixture.count);
    keys.size("expert_used_count", mixture.top_k);
    keys.size("expert_feed_forward_length", mixture.width);
    if decoder.latent.is_none() {
        return;
    }
    let dense = mixture.layers.iter().take_while(|&&sparse| !sparse).count();
    keys.size("leading_dense_block_count", dense);
    keys.size("expert_shared_count", mixture.shared_width.unwrap_or(0) / mixture.width);
    keys.own("expert_weights_scale", mixture.scale);
    keys.own("expert_weights_norm", mixture.normalise);
    gating(keys, mixture.scoring == Scoring::Sigmoid);
    if let Some(groups) = mixture.groups {
        keys.size("expert_group_count", groups.count);
        keys.size("expert_group_used_count", groups.top);
    }
}

/// What llama.cpp needs of a DeepSeek whose layers are all dense.
fn no_experts(keys: &mut Writer, decoder: &Decoder) {
    keys.size("leading_dense_block_count", decoder.layers);
    keys.size("expert_feed_forward_length", 0);
    keys.size("expert_shared_count", 0);
    gating(keys, decoder.family == Family::DeepseekV3);
}

/// 1 is softmax, 2 sigmoid.
fn gating(keys: &mut Writer, sigmoid: bool) {
    keys.size("expert_gating_func", if sigmoid { 2 } else { 1 });
}
