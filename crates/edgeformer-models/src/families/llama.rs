use edgeformer_core::{Graph, Result};

use super::blocks::{attention, gated_feed, prenorm};
use crate::hyper::Decoder;

/// Llama (arXiv 2302.13971): pre-norm, rotary grouped-query attention, gated feed-forward.
pub(super) fn graph(decoder: &Decoder) -> Result<Graph> {
    prenorm(decoder, attention, gated_feed)
}
