//! `config.json` of encoders.

use serde_json::{Map, Value, json};

use super::number;
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

pub(super) fn vit(vision: &Vision) -> Map<String, Value> {
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
    fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

/// One number for a square.
fn sides([height, width]: [usize; 2]) -> Value {
    if height == width { height.into() } else { json!([height, width]) }
}
