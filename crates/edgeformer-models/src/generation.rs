//! How a model's makers would have it sampled: `generation_config.json`, or a GGUF's
//! `general.sampling.*`.

use std::path::Path;

use serde_json::Value;

use crate::Result;
use crate::gguf::Metadata;
use crate::json::Object;

/// Sampling defaults that a model's files state; `None` where they do not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GenerationDefaults {
    /// Whether to sample at all; `false` is greedy.
    pub sample: Option<bool>,
    /// Divides logits.
    pub temperature: Option<f32>,
    /// Tokens kept, the likeliest.
    pub top_k: Option<usize>,
    /// Probability kept.
    pub top_p: Option<f32>,
    /// Probability needed, relative to the likeliest token's.
    pub min_p: Option<f32>,
    /// Divides logits of tokens that were there before.
    pub repetition_penalty: Option<f32>,
    /// Tokens of an answer at most.
    pub max_new_tokens: Option<usize>,
    /// Tokens that end a text.
    pub end_tokens: Vec<u32>,
}

impl GenerationDefaults {
    /// What a folder states: `generation_config.json`, and `eos_token_id` of `config.json`.
    pub(crate) fn of_folder(folder: &Path, config: &Object) -> Result<Self> {
        let stated = Object::read_optional(&folder.join("generation_config.json"))?;
        let mut defaults = stated.as_ref().map_or(Ok(Self::default()), Self::stated)?;
        for id in end_tokens(config)? {
            if !defaults.end_tokens.contains(&id) {
                defaults.end_tokens.push(id);
            }
        }
        Ok(defaults)
    }

    fn stated(config: &Object) -> Result<Self> {
        Ok(Self {
            sample: config.value("do_sample").and_then(Value::as_bool),
            temperature: config.optional_number("temperature")?,
            top_k: config.optional_count("top_k")?,
            top_p: config.optional_number("top_p")?,
            min_p: config.optional_number("min_p")?,
            repetition_penalty: config.optional_number("repetition_penalty")?,
            max_new_tokens: config.optional_count("max_new_tokens")?,
            end_tokens: end_tokens(config)?,
        })
    }

    /// What a GGUF file states.
    pub(crate) fn of_gguf(metadata: &Metadata) -> Result<Self> {
        let number = |key: &str| metadata.f32(&format!("general.sampling.{key}"));
        // A top-k of -1 or 0 is none.
        let top_k = metadata.get("general.sampling.top_k").and_then(|value| value.as_integer());
        let temperature = number("temp")?;
        Ok(Self {
            sample: temperature.filter(|&temperature| temperature == 0.0).map(|_| false),
            temperature,
            top_k: top_k.and_then(|top| usize::try_from(top).ok()).filter(|&top| top > 0),
            top_p: number("top_p")?,
            min_p: number("min_p")?,
            repetition_penalty: number("penalty_repeat")?,
            max_new_tokens: None,
            end_tokens: metadata
                .get("tokenizer.ggml.eos_token_id")
                .map(|_| metadata.need("tokenizer.ggml.eos_token_id", Metadata::u32))
                .transpose()?
                .into_iter()
                .collect(),
        })
    }
}

/// `eos_token_id`: one id or several.
fn end_tokens(config: &Object) -> Result<Vec<u32>> {
    let key = "eos_token_id";
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let ids = match config.value(key) {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(id).collect(),
        Some(value) => id(value).map(|id| vec![id]),
    };
    ids.ok_or_else(|| config.error(key, "must be a token id or a list of token ids"))
}
