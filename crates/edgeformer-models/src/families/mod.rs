//! Families: each one small function from hyper-parameters to a graph.
//!
//! Weights carry GGUF's names whatever the source. Blocks that several families share are in
//! `blocks`; a family says how it arranges them and what it has of its own.

mod blocks;

mod bert;
mod deepseek;
mod gemma;
mod gpt2;
mod llama;
mod mistral;
mod phi;
mod qwen;
mod vit;

use edgeformer_core::{Graph, Result};

use crate::hyper::{Family, Hyper};

/// The graph of a model with these hyper-parameters.
///
/// # Errors
/// If numbers do not fit each other, naming the node.
pub fn graph(hyper: &Hyper) -> Result<Graph> {
    let decoder = match hyper {
        Hyper::Encoder(encoder) => return bert::graph(encoder),
        Hyper::Vision(vision) => return vit::graph(vision),
        Hyper::Decoder(decoder) => decoder,
    };
    match decoder.family {
        Family::Mistral => mistral::graph(decoder),
        Family::Qwen2 => qwen::qwen2(decoder),
        Family::Qwen3 => qwen::qwen3(decoder),
        Family::Qwen3Moe => qwen::qwen3_moe(decoder),
        Family::Gemma2 => gemma::gemma2(decoder),
        Family::Gemma3 => gemma::gemma3(decoder),
        Family::Phi3 => phi::graph(decoder),
        Family::Gpt2 => gpt2::graph(decoder),
        Family::DeepseekV2 | Family::DeepseekV3 => deepseek::graph(decoder),
        Family::Llama | Family::Bert | Family::Vit => llama::graph(decoder),
    }
}
