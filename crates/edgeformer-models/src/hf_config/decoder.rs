//! `config.json` of decoders.

use edgeformer_core::graph::{Activation, Scoring};
use serde_json::json;

use super::{rope, window};
use crate::Result;
use crate::hyper::{Decoder, Family, Feed, Heads, MAX_LAYERS, Mixture};
use crate::json::Object;

/// What llama-like decoders have in common.
pub(super) fn base(config: &Object, family: Family) -> Result<Decoder> {
    let (width, layers) = (config.size("hidden_size")?, layers(config, "num_hidden_layers")?);
    let attention = heads(config, width)?;
    Ok(Decoder {
        family,
        vocabulary: config.size("vocab_size")?,
        context: config.size("max_position_embeddings")?,
        width,
        layers,
        attention,
        windows: vec![None; layers],
        rotary: Some(rope::rotary(config, attention.key_dim, None)?),
        local_rotary: None,
        feed: Feed {
            width: config.size("intermediate_size")?,
            activation: activation(config, "hidden_act", Activation::Silu)?,
            bias: false,
        },
        norm_eps: config.positive_or("rms_norm_eps", 1e-6)?,
        norm_offset: 0.0,
        embedding_scale: 1.0,
        tied: config.flag_or("tie_word_embeddings", false)?,
        logit_cap: None,
        experts: None,
        latent: None,
        classes: None,
    })
}

/// How many layers, within what any real model has.
pub(super) fn layers(config: &Object, key: &str) -> Result<usize> {
    match config.size(key)? {
        layers if layers <= MAX_LAYERS => Ok(layers),
        layers => Err(config.error(key, format!("is {layers}, at most {MAX_LAYERS} are read"))),
    }
}

/// Query heads over a width that they divide where `head_dim` is not stated.
fn heads(config: &Object, width: usize) -> Result<Heads> {
    let heads = config.size("num_attention_heads")?;
    let kv_heads = config.size_or("num_key_value_heads", heads)?;
    if !heads.is_multiple_of(kv_heads) {
        let problem = format!("is {kv_heads}, which does not divide {heads} attention heads");
        return Err(config.error("num_key_value_heads", problem));
    }
    let dim = match config.optional_size("head_dim")? {
        Some(dim) => dim,
        None => head_width(config, "num_attention_heads", heads, width)?,
    };
    Ok(Heads {
        heads,
        kv_heads,
        key_dim: dim,
        value_dim: dim,
        scale: (dim as f32).powf(-0.5),
        soft_cap: None,
        input_bias: false,
        output_bias: false,
    })
}

/// The width of one of `heads` heads.
pub(super) fn head_width(config: &Object, key: &str, heads: usize, width: usize) -> Result<usize> {
    if width.is_multiple_of(heads) {
        return Ok(width / heads);
    }
    Err(config.error(key, format!("is {heads}, which does not divide the width {width}")))
}

/// An activation by the name transformers gives it.
pub(super) fn activation(config: &Object, key: &str, default: Activation) -> Result<Activation> {
    let Some(name) = config.optional_text(key)? else { return Ok(default) };
    activation_named(name).ok_or_else(|| {
        config.error(key, format!("is {name:?}, an unknown function; known are {ACTIVATIONS}"))
    })
}

/// The functions as messages list them.
pub(crate) const ACTIVATIONS: &str = "silu, gelu, gelu_new, gelu_pytorch_tanh, relu, sigmoid, tanh";

/// An activation by the name transformers gives it.
pub(crate) fn activation_named(name: &str) -> Option<Activation> {
    Some(match name {
        "silu" | "swish" => Activation::Silu,
        "gelu" | "gelu_python" => Activation::Gelu,
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" | "gelu_accurate" => Activation::GeluTanh,
        "relu" => Activation::Relu,
        "sigmoid" => Activation::Sigmoid,
        "tanh" => Activation::Tanh,
        _ => return None,
    })
}

/// What transformers calls an activation.
pub(crate) fn activation_name(activation: Activation) -> &'static str {
    match activation {
        Activation::Silu => "silu",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_pytorch_tanh",
        Activation::Relu => "relu",
        Activation::Sigmoid => "sigmoid",
        Activation::Tanh => "tanh",
    }
}

pub(super) fn llama(config: &Object) -> Result<Decoder> {
    let mut decoder = base(config, Family::Llama)?;
    set_bias(&mut decoder, config)?;
    decoder.feed.bias = config.flag_or("mlp_bias", false)?;
    Ok(decoder)
}

/// `attention_bias` of Llama, Qwen3 and Gemma is for all four projections.
fn set_bias(decoder: &mut Decoder, config: &Object) -> Result<()> {
    let bias = config.flag_or("attention_bias", false)?;
    (decoder.attention.input_bias, decoder.attention.output_bias) = (bias, bias);
    Ok(())
}

pub(super) fn mistral(config: &Object) -> Result<Decoder> {
    let mut decoder = base(config, Family::Mistral)?;
    decoder.windows = window::in_all_layers(config, decoder.layers)?;
    Ok(decoder)
}

pub(super) fn qwen2(config: &Object) -> Result<Decoder> {
    let mut decoder = base(config, Family::Qwen2)?;
    decoder.attention.input_bias = true;
    decoder.windows = window::in_late_layers(config, decoder.layers)?;
    Ok(decoder)
}

pub(super) fn qwen3(config: &Object) -> Result<Decoder> {
    let config = &config.clone().or([("head_dim", json!(128))]);
    let mut decoder = base(config, Family::Qwen3)?;
    set_bias(&mut decoder, config)?;
    decoder.windows = window::in_late_layers(config, decoder.layers)?;
    Ok(decoder)
}

pub(super) fn qwen3_moe(config: &Object) -> Result<Decoder> {
    let mut decoder = base(config, Family::Qwen3Moe)?;
    set_bias(&mut decoder, config)?;
    if config.flag_or("use_sliding_window", false)? {
        decoder.windows = window::in_all_layers(config, decoder.layers)?;
    }
    let key = match config.value("num_experts") {
        Some(_) => "num_experts",
        None => "num_local_experts",
    };
    let Some(count) = config.optional_count(key)?.filter(|&count| count > 0) else {
        return Ok(decoder);
    };
    decoder.experts = Some(Mixture {
        layers: sparse_layers(config, decoder.layers)?,
        count,
        top_k: top_k(config, count)?,
        width: config.size("moe_intermediate_size")?,
        shared_width: None,
        scoring: Scoring::Softmax,
        selection_bias: false,
        groups: None,
        normalise: config.flag_or("norm_topk_prob", false)?,
        scale: 1.0,
    });
    Ok(decoder)
}

/// Experts that a row goes through, of `count`.
pub(super) fn top_k(config: &Object, count: usize) -> Result<usize> {
    let key = "num_experts_per_tok";
    match config.size(key)? {
        top_k if top_k <= count => Ok(top_k),
        top_k => Err(config.error(key, format!("is {top_k}, there are only {count} experts"))),
    }
}

/// Every `decoder_sparse_step`th layer that `mlp_only_layers` does not name.
fn sparse_layers(config: &Object, layers: usize) -> Result<Vec<bool>> {
    let step = config.size_or("decoder_sparse_step", 1)?;
    let dense = config.optional_list("mlp_only_layers")?.unwrap_or_default();
    let sparse = |layer: usize| {
        let named = dense.iter().any(|value| value.as_u64() == Some(layer as u64));
        (layer + 1).is_multiple_of(step) && !named
    };
    Ok((0..layers).map(sparse).collect())
}

pub(super) fn gemma2(config: &Object) -> Result<Decoder> {
    let config = &config.clone().or([
        ("head_dim", json!(256)),
        ("query_pre_attn_scalar", json!(256)),
        ("sliding_window", json!(4096)),
        ("sliding_window_pattern", json!(2)),
    ]);
    let mut decoder = gemma(config, Family::Gemma2)?;
    decoder.windows = window::by_pattern(config, decoder.layers)?;
    Ok(decoder)
}

pub(super) fn gemma3(config: &Object) -> Result<Decoder> {
    if config.flag_or("use_bidirectional_attention", false)? {
        let problem = "is true, but only causal Gemma 3 models are read";
        return Err(config.error("use_bidirectional_attention", problem));
    }
    let pattern = config.size_or("_sliding_window_pattern", 6)?;
    let config = &config.clone().or([
        ("vocab_size", json!(262_208)),
        ("max_position_embeddings", json!(131_072)),
        ("num_attention_heads", json!(8)),
        ("num_key_value_heads", json!(4)),
        ("head_dim", json!(256)),
        ("query_pre_attn_scalar", json!(256)),
        ("sliding_window", json!(4096)),
        ("sliding_window_pattern", json!(pattern)),
        ("rope_theta", json!(1_000_000.0)),
    ]);
    let mut decoder = gemma(config, Family::Gemma3)?;
    let dim = decoder.attention.key_dim;
    decoder.rotary = Some(rope::rotary(config, dim, Some("full_attention"))?);
    decoder.local_rotary = Some(rope::local_rotary(config, dim)?);
    decoder.windows = window::by_pattern(config, decoder.layers)?;
    Ok(decoder)
}

/// What Gemma 2 and 3 share. Their files hold norm weights as `w - 1`.
fn gemma(config: &Object, family: Family) -> Result<Decoder> {
    let config = &config.clone().or([("tie_word_embeddings", json!(true))]);
    let mut decoder = base(config, family)?;
    set_bias(&mut decoder, config)?;
    let key = match config.value("hidden_activation") {
        Some(_) => "hidden_activation",
        None => "hidden_act",
    };
    decoder.feed.activation = activation(config, key, Activation::GeluTanh)?;
    decoder.attention.scale = config.positive("query_pre_attn_scalar")?.powf(-0.5);
    decoder.attention.soft_cap = config.optional_positive("attn_logit_softcapping")?;
    decoder.logit_cap = config.optional_positive("final_logit_softcapping")?;
    decoder.norm_offset = 1.0;
    decoder.embedding_scale = (decoder.width as f32).sqrt();
    Ok(decoder)
}

pub(super) fn phi3(config: &Object) -> Result<Decoder> {
    let config = &config.clone().or([("rms_norm_eps", json!(1e-5))]);
    let mut decoder = base(config, Family::Phi3)?;
    decoder.windows = window::in_all_layers(config, decoder.layers)?;
    Ok(decoder)
}

pub(super) fn gpt2(config: &Object) -> Result<Decoder> {
    for (key, usual) in [
        ("scale_attn_weights", true),
        ("scale_attn_by_inverse_layer_idx", false),
        ("add_cross_attention", false),
    ] {
        if config.flag_or(key, usual)? != usual {
            return Err(config.error(key, format!("is {}: such GPT-2s are not read", !usual)));
        }
    }
    let (width, layers) = (config.size("n_embd")?, layers(config, "n_layer")?);
    let heads = config.size("n_head")?;
    let dim = head_width(config, "n_head", heads, width)?;
    Ok(Decoder {
        family: Family::Gpt2,
        vocabulary: config.size("vocab_size")?,
        context: config.size("n_positions")?,
        width,
        layers,
        attention: Heads {
            heads,
            kv_heads: heads,
            key_dim: dim,
            value_dim: dim,
            scale: (dim as f32).powf(-0.5),
            soft_cap: None,
            input_bias: true,
            output_bias: true,
        },
        windows: vec![None; layers],
        rotary: None,
        local_rotary: None,
        feed: Feed {
            width: config.size_or("n_inner", 4 * width)?,
            activation: activation(config, "activation_function", Activation::GeluTanh)?,
            bias: true,
        },
        norm_eps: config.positive_or("layer_norm_epsilon", 1e-5)?,
        norm_offset: 0.0,
        embedding_scale: 1.0,
        tied: config.flag_or("tie_word_embeddings", true)?,
        logit_cap: None,
        experts: None,
        latent: None,
        classes: None,
    })
}
