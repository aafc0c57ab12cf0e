//! `config.json` of decoders.

use edgeformer_core::graph::Scoring;
use serde_json::{Map, Value, json};

use super::{number, rope};
use crate::Result;
use crate::gguf::Metadata;
use crate::hf_config::activation_name;
use crate::hyper::{Decoder, Family, Latent, Mixture};

pub(super) fn config(decoder: &Decoder, metadata: &Metadata) -> Result<Map<String, Value>> {
    if decoder.family == Family::Gpt2 {
        return Ok(gpt2(decoder));
    }
    let heads = decoder.attention;
    let mut config = object(json!({
        "vocab_size": decoder.vocabulary,
        "max_position_embeddings": decoder.context,
        "hidden_size": decoder.width,
        "intermediate_size": decoder.feed.width,
        "num_hidden_layers": decoder.layers,
        "num_attention_heads": heads.heads,
        "num_key_value_heads": heads.kv_heads,
        "head_dim": decoder.latent.map_or(heads.key_dim, |latent| latent.rope_dim),
        "hidden_act": activation_name(decoder.feed.activation),
        "rms_norm_eps": number(decoder.norm_eps),
        "tie_word_embeddings": decoder.tied,
    }));
    windows(&mut config, decoder);
    rope::config(&mut config, decoder, metadata)?;
    config.extend(own(decoder));
    Ok(config)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// What a family has besides.
fn own(decoder: &Decoder) -> Map<String, Value> {
    let bias = decoder.attention.output_bias;
    match decoder.family {
        Family::Llama => object(json!({"attention_bias": bias, "mlp_bias": decoder.feed.bias})),
        Family::Qwen3 => object(json!({"attention_bias": bias})),
        Family::Qwen3Moe => {
            let mut config = object(json!({
                "attention_bias": bias, "decoder_sparse_step": 1, "mlp_only_layers": [],
            }));
            config.extend(decoder.experts.as_ref().map(qwen3_moe).unwrap_or_default());
            config
        }
        Family::Gemma2 | Family::Gemma3 => gemma(decoder),
        Family::DeepseekV2 | Family::DeepseekV3 => {
            let mut config = decoder.latent.as_ref().map(latent).unwrap_or_default();
            config.insert("attention_bias".into(), decoder.attention.input_bias.into());
            config.insert("mlp_bias".into(), decoder.feed.bias.into());
            config.extend(deepseek_experts(decoder));
            config
        }
        _ => Map::new(),
    }
}

fn qwen3_moe(mixture: &Mixture) -> Map<String, Value> {
    object(json!({
        "num_experts": mixture.count,
        "num_experts_per_tok": mixture.top_k,
        "moe_intermediate_size": mixture.width,
        "norm_topk_prob": mixture.normalise,
    }))
}

fn gemma(decoder: &Decoder) -> Map<String, Value> {
    let heads = decoder.attention;
    let scalar = heads.scale.powi(-2);
    // A whole number, unless that would scale otherwise.
    let whole = scalar.round();
    let scalar = if whole.powf(-0.5) == heads.scale { whole } else { scalar };
    object(json!({
        "attention_bias": heads.output_bias,
        "hidden_activation": activation_name(decoder.feed.activation),
        "query_pre_attn_scalar": number(scalar),
        "attn_logit_softcapping": heads.soft_cap.map(number),
        "final_logit_softcapping": decoder.logit_cap.map(number),
    }))
}

/// The window, and the layers that have it where not all do.
fn windows(config: &mut Map<String, Value>, decoder: &Decoder) {
    let window = decoder.windows.iter().flatten().next();
    config.insert("sliding_window".into(), json!(window));
    let qwen = matches!(decoder.family, Family::Qwen2 | Family::Qwen3 | Family::Qwen3Moe);
    if qwen {
        config.insert("use_sliding_window".into(), window.is_some().into());
    }
    let gemma = matches!(decoder.family, Family::Gemma2 | Family::Gemma3);
    let mixed = decoder.windows.iter().any(Option::is_none) && window.is_some();
    if !(mixed || gemma || qwen && window.is_some()) {
        return;
    }
    let kind = |window: &Option<usize>| match window {
        Some(_) => "sliding_attention",
        None => "full_attention",
    };
    let kinds: Vec<&str> = decoder.windows.iter().map(kind).collect();
    config.insert("layer_types".into(), json!(kinds));
    let first_full = decoder.windows.iter().position(Option::is_none);
    if let (Some(first_full), true) = (first_full, gemma) {
        config.insert("sliding_window_pattern".into(), json!(first_full + 1));
    }
}

fn latent(latent: &Latent) -> Map<String, Value> {
    object(json!({
        "q_lora_rank": latent.query_rank,
        "kv_lora_rank": latent.rank,
        "qk_nope_head_dim": latent.nope_dim,
        "qk_rope_head_dim": latent.rope_dim,
        "v_head_dim": latent.value_dim,
    }))
}

fn deepseek_experts(decoder: &Decoder) -> Map<String, Value> {
    let Some(mixture) = &decoder.experts else {
        return object(json!({"first_k_dense_replace": decoder.layers}));
    };
    let dense = mixture.layers.iter().take_while(|&&sparse| !sparse).count();
    let v3 = mixture.scoring == Scoring::Sigmoid;
    let method = match (v3, mixture.groups) {
        (true, _) => "noaux_tc",
        (false, Some(_)) => "group_limited_greedy",
        (false, None) => "greedy",
    };
    object(json!({
        "first_k_dense_replace": dense,
        "n_routed_experts": mixture.count,
        "n_shared_experts": mixture.shared_width.unwrap_or(0) / mixture.width,
        "num_experts_per_tok": mixture.top_k,
        "moe_intermediate_size": mixture.width,
        "moe_layer_freq": 1,
        "routed_scaling_factor": number(mixture.scale),
        "norm_topk_prob": mixture.normalise,
        "scoring_func": if v3 { "sigmoid" } else { "softmax" },
        "topk_method": method,
        "n_group": mixture.groups.map_or(1, |groups| groups.count),
        "topk_group": mixture.groups.map_or(1, |groups| groups.top),
    }))
}

fn gpt2(decoder: &Decoder) -> Map<String, Value> {
    object(json!({
        "vocab_size": decoder.vocabulary,
        "n_positions": decoder.context,
        "n_embd": decoder.width,
        "n_inner": decoder.feed.width,
        "n_layer": decoder.layers,
        "n_head": decoder.attention.heads,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": number(decoder.norm_eps),
        "tie_word_embeddings": decoder.tied,
    }))
}
