//! `config.json`.

use edgeformer_core::Format;
use serde_json::{Map, Value, json};

use super::{decoder, encoder, token_id};
use crate::Result;
use crate::classifier::unnamed;
use crate::generation::GenerationDefaults;
use crate::gguf::Metadata;
use crate::gguf_model;
use crate::hyper::{Family, Hyper};

/// What a folder of this model says of it.
pub(super) fn config(hyper: &Hyper, metadata: &Metadata, main: Format) -> Result<Value> {
    let mut config = match hyper {
        Hyper::Decoder(decoder) => decoder::config(decoder, metadata)?,
        Hyper::Encoder(encoder) => encoder::bert(encoder),
        Hyper::Vision(vision) => encoder::vit(vision),
    };
    classes(&mut config, hyper, metadata)?;
    let (model_type, architecture) = names(hyper);
    config.insert("model_type".into(), model_type.into());
    config.insert("architectures".into(), json!([architecture]));
    config.insert("torch_dtype".into(), torch_name(main).into());
    if !matches!(hyper, Hyper::Vision(_)) {
        tokens(&mut config, metadata)?;
    }
    Ok(config.into())
}

/// The names of classes, both ways.
fn classes(config: &mut Map<String, Value>, hyper: &Hyper, metadata: &Metadata) -> Result<()> {
    let Some(classes) = hyper.classes() else { return Ok(()) };
    let labels = gguf_model::labels(metadata, hyper)?;
    let name = |id: usize| labels.get(id).cloned().unwrap_or_else(|| unnamed(id));
    let ids = |id: usize| (id.to_string(), Value::from(name(id)));
    config.insert("id2label".into(), (0..classes).map(ids).collect::<Map<_, _>>().into());
    let names = (0..classes).map(|id| (name(id), Value::from(id)));
    config.insert("label2id".into(), names.collect::<Map<_, _>>().into());
    Ok(())
}

/// What transformers calls the family, and the class of its models.
fn names(hyper: &Hyper) -> (&'static str, String) {
    let (model_type, stem, bare) = match hyper.family() {
        Family::Llama => ("llama", "Llama", "ForCausalLM"),
        Family::Mistral => ("mistral", "Mistral", "ForCausalLM"),
        Family::Qwen2 => ("qwen2", "Qwen2", "ForCausalLM"),
        Family::Qwen3 => ("qwen3", "Qwen3", "ForCausalLM"),
        Family::Qwen3Moe => ("qwen3_moe", "Qwen3Moe", "ForCausalLM"),
        Family::Gemma2 => ("gemma2", "Gemma2", "ForCausalLM"),
        // The classifier of text alone has a name of its own.
        Family::Gemma3 if hyper.classes().is_some() => ("gemma3_text", "Gemma3Text", ""),
        Family::Gemma3 => ("gemma3_text", "Gemma3", "ForCausalLM"),
        Family::Phi3 => ("phi3", "Phi3", "ForCausalLM"),
        Family::Gpt2 => ("gpt2", "GPT2", "LMHeadModel"),
        Family::DeepseekV2 => ("deepseek_v2", "DeepseekV2", "ForCausalLM"),
        Family::DeepseekV3 => ("deepseek_v3", "DeepseekV3", "ForCausalLM"),
        Family::Bert => ("bert", "Bert", "Model"),
        Family::Vit => ("vit", "ViT", "Model"),
    };
    let task = match (hyper.classes(), hyper) {
        (None, _) => bare,
        (Some(_), Hyper::Vision(_)) => "ForImageClassification",
        (Some(_), Hyper::Decoder(_) | Hyper::Encoder(_)) => "ForSequenceClassification",
    };
    (model_type, format!("{stem}{task}"))
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
