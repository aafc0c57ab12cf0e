//! `config.json`.

use edgeformer_core::Format;
use serde_json::{Map, Value, json};

use super::{decoder, encoder, token_id};
use crate::Result;
use crate::generation::GenerationDefaults;
use crate::gguf::Metadata;
use crate::hyper::{Family, Hyper};

/// What a folder of this model says of it.
pub(super) fn config(hyper: &Hyper, metadata: &Metadata, main: Format) -> Result<Value> {
    let mut config = match hyper {
        Hyper::Decoder(decoder) => decoder::config(decoder, metadata)?,
        Hyper::Encoder(encoder) => encoder::bert(encoder),
        Hyper::Vision(vision) => encoder::vit(vision, metadata)?,
    };
    let (model_type, architecture) = names(hyper);
    config.insert("model_type".into(), model_type.into());
    config.insert("architectures".into(), json!([architecture]));
    config.insert("torch_dtype".into(), torch_name(main).into());
    if !matches!(hyper, Hyper::Vision(_)) {
        tokens(&mut config, metadata)?;
    }
    Ok(config.into())
}

/// What transformers calls the family, and the class of its models.
fn names(hyper: &Hyper) -> (&'static str, &'static str) {
    match hyper.family() {
        Family::Llama => ("llama", "LlamaForCausalLM"),
        Family::Mistral => ("mistral", "MistralForCausalLM"),
        Family::Qwen2 => ("qwen2", "Qwen2ForCausalLM"),
        Family::Qwen3 => ("qwen3", "Qwen3ForCausalLM"),
        Family::Qwen3Moe => ("qwen3_moe", "Qwen3MoeForCausalLM"),
        Family::Gemma2 => ("gemma2", "Gemma2ForCausalLM"),
        Family::Gemma3 => ("gemma3_text", "Gemma3ForCausalLM"),
        Family::Phi3 => ("phi3", "Phi3ForCausalLM"),
        Family::Gpt2 => ("gpt2", "GPT2LMHeadModel"),
        Family::DeepseekV2 => ("deepseek_v2", "DeepseekV2ForCausalLM"),
        Family::DeepseekV3 => ("deepseek_v3", "DeepseekV3ForCausalLM"),
        Family::Bert => ("bert", "BertModel"),
        Family::Vit => match hyper {
            Hyper::Vision(vision) if vision.classes.is_some() => {
                ("vit", "ViTForImageClassification")
            }
            _ => ("vit", "ViTModel"),
        },
    }
}

/// PyTorch's name of a format.
fn torch_name(format: Format) -> &'static str {
    match format {
        Format::F16 => "float16",
        Format::BF16 => "bfloat16",
        _ => "float32",
    }
}

/// The ids of marks. Without them transformers falls back to ids of the family's first model.
fn tokens(config: &mut Map<String, Value>, metadata: &Metadata) -> Result<()> {
    config.insert("bos_token_id".into(), json!(token_id(metadata, "bos")?));
    config.insert("pad_token_id".into(), json!(token_id(metadata, "padding")?));
    let ends = GenerationDefaults::of_gguf(metadata)?.end_tokens;
    let ends = if let [end] = *ends { json!(end) } else { json!(token_id(metadata, "eos")?) };
    config.insert("eos_token_id".into(), ends);
    Ok(())
}
