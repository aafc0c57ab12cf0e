use edgeformer_core::{Graph, Result};

use super::blocks::{attention, gated_feed, prenorm};
use crate::hyper::Decoder;

/// Mistral (arXiv 2310.06825): Llama whose attention sees a sliding window.
pub(super) fn graph(decoder: &Decoder) -> Result<Graph> {
    prenorm(decoder, attention, gated_feed)
}
