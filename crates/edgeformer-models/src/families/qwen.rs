use edgeformer_core::{Graph, Result};

use super::blocks::{attention, experts_or_gated, gated_feed, normed_attention, prenorm};
use crate::hyper::Decoder;

/// Qwen2 (arXiv 2407.10671): Llama with biases on queries, keys and values.
pub(super) fn qwen2(decoder: &Decoder) -> Result<Graph> {
    prenorm(decoder, attention, gated_feed)
}

/// Qwen3 (arXiv 2505.09388): Llama with queries and keys normalised head by head.
pub(super) fn qwen3(decoder: &Decoder) -> Result<Graph> {
    prenorm(decoder, normed_attention, gated_feed)
}

/// Qwen3 with experts.
pub(super) fn qwen3_moe(decoder: &Decoder) -> Result<Graph> {
    prenorm(decoder, normed_attention, experts_or_gated)
}
