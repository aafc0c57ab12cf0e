//! GGUF files: metadata to hyper-parameters, tensors to weights.

mod deepseek;
mod keys;
mod labels;
mod rope;
mod vision;
mod weights;

#[cfg(test)]
mod tests;

use edgeformer_core::graph::{Activation, RopeLayout, Scoring};

use crate::Result;
use crate::gguf::Metadata;
use crate::hyper::{Decoder, Encoder, Family, Feed, Heads, Hyper, Mixture};
use keys::Keys;

pub(crate) use deepseek::LATENT_EPS;
pub(crate) use keys::Tensors;
pub(crate) use labels::{OUTPUT_LABELS, RANK, labels};
pub(crate) use vision::preprocessor;
pub(crate) use weights::{check_depth, weights};

/// The values of `general.architecture` that are read.
const KNOWN: &str =
    "bert, deepseek2, gemma2, gemma3, gpt2, llama, phi3, qwen2, qwen3, qwen3moe, vit";

/// The hyper-parameters that a file's metadata and the shapes of its tensors state.
pub(crate) fn hyper(metadata: &Metadata, tensors: &dyn Tensors) -> Result<Hyper> {
    let key = "general.architecture";
    let architecture = metadata.need(key, Metadata::str)?;
    let keys = &Keys { metadata, tensors, architecture };
    let decoder = match architecture {
        "llama" => llama(keys),
        "qwen2" => pre_norm(keys, Family::Qwen2, RopeLayout::Halves),
        "qwen3" => pre_norm(keys, Family::Qwen3, RopeLayout::Halves),
        "qwen3moe" => qwen3_moe(keys),
        "gemma2" => gemma2(keys),
        "gemma3" => gemma3(keys),
        "phi3" => phi3(keys),
        "gpt2" => gpt2(keys),
        "deepseek2" => deepseek::decoder(keys),
        "bert" => return bert(keys).map(Hyper::Encoder),
        "vit" => return vision::vit(metadata, tensors).map(Hyper::Vision),
        other => {
            let problem = format!("is {other:?}, an unknown architecture; known are {KNOWN}");
            return Err(metadata.error(key, problem));
        }
    }?;
    Ok(Hyper::Decoder(Box::new(decoder)))
}

/// What pre-norm decoders have in common. Biases are where the file has them.
fn pre_norm(keys: &Keys<'_>, family: Family, layout: RopeLayout) -> Result<Decoder> {
    let [vocabulary, width] = keys.matrix("token_embd.weight")?;
    let (layers, heads) = (keys.layers()?, heads(keys, width)?);
    let classes = keys.classes()?;
    let windows = match keys.optional_count("attention.sliding_window")? {
        Some(window) if window > 0 => keys.windows_by_pattern(layers, window, usize::MAX)?,
        _ => vec![None; layers],
    };
    Ok(Decoder {
        family,
        vocabulary,
        context: keys.size("context_length")?,
        width,
        layers,
        attention: heads,
        windows,
        rotary: Some(rope::rotary(keys, heads.key_dim, layout)?),
        local_rotary: None,
        feed: Feed {
            width: keys.size("feed_forward_length")?,
            activation: Activation::Silu,
            bias: keys.has("blk.0.ffn_up.bias"),
        },
        norm_eps: keys.positive("attention.layer_norm_rms_epsilon")?,
        norm_offset: 0.0,
        embedding_scale: 1.0,
        tied: classes.is_none() && !keys.has("output.weight"),
        logit_cap: None,
        experts: None,
        latent: None,
        classes,
    })
}

fn heads(keys: &Keys<'_>, width: usize) -> Result<Heads> {
    let heads = keys.size("attention.head_count")?;
    let kv_heads = keys.optional_size("attention.head_count_kv")?.unwrap_or(heads);
    if !heads.is_multiple_of(kv_heads) {
        let problem = format!("is {kv_heads}, which does not divide {heads} heads");
        return Err(keys.error("attention.head_count_kv", problem));
    }
    let key_dim = head_dim(keys, "attention.key_length", heads, width)?;
    let value_dim = head_dim(keys, "attention.value_length", heads, width)?;
    let scale = keys.optional_positive("attention.scale")?;
    Ok(Heads {
        heads,
        kv_heads,
        key_dim,
        value_dim,
        scale: scale.unwrap_or((key_dim as f32).powf(-0.5)),
        soft_cap: None,
        input_bias: keys.has("blk.0.attn_q.bias") || keys.has("blk.0.attn_qkv.bias"),
        output_bias: keys.has("blk.0.attn_output.bias"),
    })
}

fn head_dim(keys: &Keys<'_>, key: &str, heads: usize, width: usize) -> Result<usize> {
    match keys.optional_size(key)? {
        Some(dim) => Ok(dim),
        None if width.is_multiple_of(heads) => Ok(width / heads),
        None => {
            let problem = format!("is {heads}, which does not divide the width {width}");
            Err(keys.error("attention.head_count", problem))
        }
    }
}

/// Llama, and Mistral and Mixtral, which GGUF files call llama. Conversion permutes queries and
/// keys so that neighbouring columns are rotated together.
fn llama(keys: &Keys<'_>) -> Result<Decoder> {
    let mut decoder = pre_norm(keys, Family::Llama, RopeLayout::Interleaved)?;
    if keys.optional_count("expert_count")?.unwrap_or(0) > 0 {
        decoder.experts = Some(softmax_experts(keys, &decoder, decoder.feed.width)?);
    }
    Ok(decoder)
}

fn qwen3_moe(keys: &Keys<'_>) -> Result<Decoder> {
    let mut decoder = pre_norm(keys, Family::Qwen3Moe, RopeLayout::Halves)?;
    let width = keys.optional_size("expert_feed_forward_length")?.unwrap_or(decoder.feed.width);
    decoder.experts = Some(softmax_experts(keys, &decoder, width)?);
    Ok(decoder)
}

/// Experts in every layer, weighed by the softmax of the picked.
fn softmax_experts(keys: &Keys<'_>, decoder: &Decoder, width: usize) -> Result<Mixture> {
    let count = keys.size("expert_count")?;
    Ok(Mixture {
        layers: vec![true; decoder.layers],
        count,
        top_k: keys.top_k(count)?,
        width,
        shared_width: None,
        scoring: Scoring::Softmax,
        selection_bias: false,
        groups: None,
        normalise: true,
        scale: 1.0,
    })
}

/// Gemma: conversion adds the 1 to norm weights, so their offset is 0 here. Two models' score
/// scale is not their head's; files do not state it.
fn gemma(keys: &Keys<'_>, family: Family, largest: usize) -> Result<Decoder> {
    let mut decoder = pre_norm(keys, family, RopeLayout::Halves)?;
    decoder.feed.activation = Activation::GeluTanh;
    decoder.embedding_scale = (decoder.width as f32).sqrt();
    if decoder.layers == largest && keys.optional_positive("attention.scale")?.is_none() {
        let dim = decoder.width as f32 / decoder.attention.heads as f32;
        decoder.attention.scale = dim.powf(-0.5);
    }
    Ok(decoder)
}

fn gemma2(keys: &Keys<'_>) -> Result<Decoder> {
    let mut decoder = gemma(keys, Family::Gemma2, 46)?;
    decoder.attention.soft_cap = keys.cap("attn_logit_softcapping", Some(50.0))?;
    decoder.logit_cap = keys.cap("final_logit_softcapping", Some(30.0))?;
    let window = keys.optional_size("attention.sliding_window")?.unwrap_or(4096);
    decoder.windows = keys.windows_by_pattern(decoder.layers, window, 2)?;
    Ok(decoder)
}

fn gemma3(keys: &Keys<'_>) -> Result<Decoder> {
    let mut decoder = gemma(keys, Family::Gemma3, 62)?;
    decoder.attention.soft_cap = keys.cap("attn_logit_softcapping", None)?;
    decoder.logit_cap = keys.cap("final_logit_softcapping", None)?;
    let window = keys.size("attention.sliding_window")?;
    decoder.windows = keys.windows_by_pattern(decoder.layers, window, 6)?;
    decoder.local_rotary = Some(rope::local_rotary(keys, decoder.attention.key_dim)?);
    Ok(decoder)
}

fn phi3(keys: &Keys<'_>) -> Result<Decoder> {
    pre_norm(keys, Family::Phi3, RopeLayout::Halves)
}

fn gpt2(keys: &Keys<'_>) -> Result<Decoder> {
    let [vocabulary, width] = keys.matrix("token_embd.weight")?;
    let [context, _] = keys.matrix("position_embd.weight")?;
    let layers = keys.layers()?;
    let heads = heads(keys, width)?;
    let classes = keys.classes()?;
    Ok(Decoder {
        family: Family::Gpt2,
        vocabulary,
        context,
        width,
        layers,
        attention: Heads { input_bias: true, output_bias: true, ..heads },
        windows: vec![None; layers],
        rotary: None,
        local_rotary: None,
        feed: Feed {
            width: keys.size("feed_forward_length")?,
            activation: Activation::GeluTanh,
            bias: true,
        },
        norm_eps: keys.positive("attention.layer_norm_epsilon")?,
        norm_offset: 0.0,
        embedding_scale: 1.0,
        tied: classes.is_none() && !keys.has("output.weight"),
        logit_cap: None,
        experts: None,
        latent: None,
        classes,
    })
}

fn bert(keys: &Keys<'_>) -> Result<Encoder> {
    if keys.flag("attention.causal")?.unwrap_or(false) {
        return Err(keys.error("attention.causal", "is true, but BERT is read as an encoder only"));
    }
    let [vocabulary, width] = keys.matrix("token_embd.weight")?;
    let [context, _] = keys.matrix("position_embd.weight")?;
    let [segments, _] = keys.matrix("token_types.weight")?;
    let heads = heads(keys, width)?;
    Ok(Encoder {
        vocabulary,
        context,
        width,
        layers: keys.layers()?,
        heads: heads.heads,
        feed: Feed {
            width: keys.size("feed_forward_length")?,
            activation: Activation::Gelu,
            bias: true,
        },
        segments,
        norm_eps: keys.positive("attention.layer_norm_epsilon")?,
        classes: keys.classes()?,
    })
}
