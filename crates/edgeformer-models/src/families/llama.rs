use edgeformer_core::{Graph, Result};

use super::blocks::{attention, experts_or_gated, prenorm};
use crate::hyper::Decoder;

/// Llama (arXiv 2302.13971): pre-norm, rotary grouped-query attention, gated feed-forward, or experts in its place (Mixtral).
pub(super) fn graph(decoder: &Decoder) -> Result<Graph> {
    prenorm(decoder, attention, experts_or_gated)
}
