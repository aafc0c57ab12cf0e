//! `config.json` of encoders.

use serde_json::{Map, Value, json};

use super::number;
use crate::Result;
use crate::gguf::Metadata;
use crate::gguf_model;
use crate::hf_config::activation_name;
use crate::hyper::{Encoder, Vision};

pub(super) fn bert(encoder: &Encoder) -> Map<String, Value> {
    let fields = [
        ("vocab_size", json!(encoder.vocabulary)),
        ("max_position_embeddings", json!(encoder.context)),
        ("hidden_size", json!(encoder.width)),
        ("intermediate_size", json!(encoder.feed.width)),
        ("num_hidden_layers", json!(encoder.layers)),
        ("num_attention_heads", json!(encoder.heads)),
        ("hidden_act", activation_name(encoder.feed.activation).into()),
        ("type_vocab_size", json!(encoder.segments)),
        ("layer_norm_eps", number(encoder.norm_eps)),
    ];
    fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

pub(super) fn vit(vision: &Vision, metadata: &Metadata) -> Result<Map<String, Value>> {
    let fields = [
        ("num_channels", json!(vision.channels)),
        ("image_size", sides(vision.image)),
        ("patch_size", sides(vision.patch)),
        ("hidden_size", json!(vision.width)),
        ("intermediate_size", json!(vision.feed.width)),
        ("num_hidden_layers", json!(vision.layers)),
        ("num_attention_heads", json!(vision.heads)),
        ("hidden_act", activation_name(vision.feed.activation).into()),
        ("qkv_bias", json!(vision.input_bias)),
        ("layer_norm_eps", number(vision.norm_eps)),
    ];
    let mut config: Map<String, Value> =
        fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
    let Some(classes) = vision.classes else { return Ok(config) };
    let labels = gguf_model::labels(metadata, vision)?;
    let name = |id: usize| labels.get(id).cloned().unwrap_or_else(|| format!("LABEL_{id}"));
    let ids = |id: usize| (id.to_string(), Value::from(name(id)));
    config.insert("id2label".into(), (0..classes).map(ids).collect::<Map<_, _>>().into());
    let names = (0..classes).map(|id| (name(id), Value::from(id)));
    config.insert("label2id".into(), names.collect::<Map<_, _>>().into());
    Ok(config)
}

/// One number for a square.
fn sides([height, width]: [usize; 2]) -> Value {
    if height == width { height.into() } else { json!([height, width]) }
}
