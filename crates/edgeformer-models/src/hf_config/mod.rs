//! Hugging Face folders: `config.json` to hyper-parameters, tensor names to graph names.

mod classes;
mod decoder;
mod deepseek;
mod encoder;
mod names;
mod rope;
mod weights;
mod window;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use decoder::{ACTIVATIONS, activation_name, activation_named};
pub(crate) use names::{Names, names};
pub(crate) use rope::longrope_mscale;
pub(crate) use weights::{Reader, check_depth, transpose, weights};

use crate::Result;
use crate::hyper::Hyper;
use crate::json::Object;

/// The `model_type`s that are read.
const KNOWN: &str = "bert, deepseek_v2, deepseek_v3, gemma2, gemma3, gemma3_text, gpt2, llama, \
                     mistral, phi3, qwen2, qwen3, qwen3_moe, vit";

/// The hyper-parameters that a `config.json` states, in its older or newer form.
pub(crate) fn hyper(config: &Object) -> Result<Hyper> {
    if let Some(quantization) = config.optional_object("quantization_config")? {
        let method = quantization.optional_text("quant_method")?.unwrap_or("unknown").to_owned();
        return Err(config.error(
            "quantization_config",
            format!("says {method}, which is not read: use the unquantized folder or a GGUF file"),
        ));
    }
    let mut decoder = match config.optional_text("model_type")? {
        Some("llama") => decoder::llama(config),
        Some("mistral") => decoder::mistral(config),
        Some("qwen2") => decoder::qwen2(config),
        Some("qwen3") => decoder::qwen3(config),
        Some("qwen3_moe") => decoder::qwen3_moe(config),
        Some("gemma2") => decoder::gemma2(config),
        Some("gemma3_text") => decoder::gemma3(config),
        Some("gemma3") => decoder::gemma3(&text_part(config)?),
        Some("phi3") => decoder::phi3(config),
        Some("gpt2") => decoder::gpt2(config),
        Some("deepseek_v2") => deepseek::v2(config),
        Some("deepseek_v3") => deepseek::v3(config),
        Some("bert") => return encoder::bert(config).map(Hyper::Encoder),
        Some("vit") => return encoder::vit(config).map(Hyper::Vision),
        Some(other) => {
            let problem = format!("is {other:?}, an unknown architecture; known are {KNOWN}");
            return Err(config.error("model_type", problem));
        }
        None => {
            let problem = format!("is missing: state the architecture, one of {KNOWN}");
            return Err(config.error("model_type", problem));
        }
    }?;
    decoder.classes = classes::of_texts(config)?;
    // A classifier has no logits that could come from the embeddings.
    decoder.tied &= decoder.classes.is_none();
    Ok(Hyper::Decoder(Box::new(decoder)))
}

/// The language model inside a model of images and text.
fn text_part(config: &Object) -> Result<Object> {
    let text = config.optional_object("text_config")?;
    text.ok_or_else(|| config.error("text_config", "is missing: the language model is in it"))
}
