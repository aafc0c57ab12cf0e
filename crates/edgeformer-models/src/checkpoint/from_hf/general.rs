//! Keys that say nothing about the graph: the name, sampling, tokens.

use std::path::Path;

use super::keys::Writer;
use crate::Result;
use crate::classifier::unnamed;
use crate::generation::GenerationDefaults;
use crate::gguf::MetadataArray;
use crate::gguf_model::{OUTPUT_LABELS, RANK};
use crate::json::Object;
use crate::text::TokenizerKeys;

/// The name of the folder is the name of the model.
pub(super) fn identity(keys: &mut Writer, folder: &Path) {
    keys.set("general.type", "model".to_owned());
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    if let Some(name) = whole.file_name() {
        keys.set("general.name", name.to_string_lossy().into_owned());
    }
    keys.set("general.quantization_version", 2u32);
}

/// How the makers would have the model sampled; greedy is a temperature of 0.
pub(super) fn sampling(keys: &mut Writer, folder: &Path, config: &Object) -> Result<()> {
    let stated = GenerationDefaults::of_folder(folder, config)?;
    let temperature = if stated.sample == Some(false) { Some(0.0) } else { stated.temperature };
    let numbers = [
        ("temp", temperature),
        ("top_p", stated.top_p),
        ("min_p", stated.min_p),
        ("penalty_repeat", stated.repetition_penalty),
    ];
    for (key, number) in numbers {
        if let Some(number) = number {
            keys.set(&format!("general.sampling.{key}"), number);
        }
    }
    if let Some(top_k) = stated.top_k.filter(|&top_k| top_k > 0) {
        keys.set("general.sampling.top_k", top_k as u32);
    }
    Ok(())
}

/// That it is a classifier, and what its classes are called. llama.cpp counts the names: without
/// them it reads no second class.
pub(super) fn classes(keys: &mut Writer, classes: usize, mut labels: Vec<String>) {
    if labels.is_empty() {
        labels = (0..classes).map(unnamed).collect();
    }
    keys.own("pooling_type", RANK);
    keys.own(OUTPUT_LABELS, MetadataArray::strings(labels));
}

/// The tokenizer, or that there is none; ids that it does not name are those of `config.json`.
pub(super) fn tokens(
    keys: &mut Writer,
    tokenizer: Option<TokenizerKeys>,
    config: &Object,
) -> Result<()> {
    match tokenizer {
        Some(tokenizer) => keys.metadata.extend(tokenizer),
        None => keys.set("tokenizer.ggml.model", "none".to_owned()),
    }
    for (key, from) in [
        ("tokenizer.ggml.bos_token_id", "bos_token_id"),
        ("tokenizer.ggml.eos_token_id", "eos_token_id"),
        ("tokenizer.ggml.padding_token_id", "pad_token_id"),
    ] {
        let stated = first_id(config, from);
        if let Some(id) = stated.filter(|_| keys.metadata.iter().all(|(known, _)| known != key)) {
            keys.set(key, id);
        }
    }
    Ok(())
}

/// An id, or the first of several.
fn first_id(config: &Object, key: &str) -> Option<u32> {
    let value = config.value(key)?;
    let value = value.as_array().map_or(Some(value), |list| list.first())?;
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}
