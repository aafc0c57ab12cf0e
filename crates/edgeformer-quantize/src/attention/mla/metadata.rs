//! The keys of architecture `deepseek2`.

use edgeformer_models::checkpoint::Checkpoint;

use super::plan::Plan;
use crate::attention::source::Source;

/// What the conversion settles and states anew, or what has no meaning behind it: rotary scalings
/// are in the divisors, the scale of scores in the queries.
const DROPPED: [&str; 6] = [
    "rope.scaling.",
    "rope.scale_linear",
    "attention.scale",
    "attention.key_length",
    "attention.value_length",
    "attention.sliding_window",
];

/// The checkpoint with its keys renamed, and those of latent attention.
pub(super) fn rewrite(source: &Source, plan: &Plan) -> Checkpoint {
    let mut converted = source.checkpoint.clone();
    let prefix = format!("{}.", source.architecture);
    let dropped = |key: &str| DROPPED.iter().any(|dropped| key.starts_with(dropped));
    converted.metadata.retain(|(key, _)| !key.strip_prefix(&prefix).is_some_and(dropped));
    for (key, _) in &mut converted.metadata {
        if let Some(rest) = key.strip_prefix(&prefix) {
            *key = format!("deepseek2.{rest}");
        }
    }
    converted.set("general.architecture", "deepseek2");
    // Read as attention of one key head: what is cached.
    let key_length = plan.rank + plan.rope_dims;
    let feed = converted.get("deepseek2.feed_forward_length").and_then(|value| value.as_integer());
    for (key, size) in [
        ("attention.head_count_kv", 1),
        ("attention.key_length", key_length),
        ("attention.value_length", plan.rank),
        ("attention.key_length_mla", plan.nope_dim + plan.rope_dims),
        ("attention.value_length_mla", source.value_dim),
        ("attention.kv_lora_rank", plan.rank),
        // Queries are made directly; llama.cpp reads the key all the same.
        ("attention.q_lora_rank", 0),
        ("rope.dimension_count", plan.rope_dims),
        // No layer has experts; llama.cpp wants their keys all the same.
        ("leading_dense_block_count", source.layers),
        ("expert_feed_forward_length", feed.and_then(|feed| feed.try_into().ok()).unwrap_or(1)),
        ("expert_shared_count", 0),
    ] {
        converted.set(&format!("deepseek2.{key}"), size as u32);
    }
    converted.set("deepseek2.expert_weights_scale", 1.0f32);
    converted.set("deepseek2.rope.freq_base", source.rope_base() as f32);
    converted
}
