//! What a folder holds besides `config.json` and tensors.

use edgeformer_core::graph::Pool;
use serde_json::{Map, Value, json};

use super::{number, pretty, token_id};
use crate::checkpoint::Checkpoint;
use crate::generation::GenerationDefaults;
use crate::gguf::Metadata;
use crate::hyper::{Hyper, Vision};
use crate::preprocessor::{Preprocessor, Resize};
use crate::text::Tokenizer;
use crate::{Result, gguf_model, pooling};

type File = (&'static str, Vec<u8>);

pub(super) fn files(hyper: &Hyper, metadata: &Metadata, from: &Checkpoint) -> Result<Vec<File>> {
    let mut files = match hyper {
        Hyper::Vision(vision) => return images(vision, metadata, from),
        Hyper::Decoder(decoder) if decoder.classes.is_some() => Vec::new(),
        Hyper::Decoder(_) => vec![generation(metadata)?],
        Hyper::Encoder(encoder) => pooled(encoder.width, metadata)?,
    };
    let context = match hyper {
        Hyper::Decoder(decoder) => decoder.context,
        Hyper::Encoder(encoder) => encoder.context,
        Hyper::Vision(_) => return Ok(files),
    };
    let Some(tokenizer) = Tokenizer::from_metadata(metadata)? else { return Ok(files) };
    let text = tokenizer.folder_files(metadata, Some(context))?;
    files.push(("tokenizer.json", pretty(&text.tokenizer)));
    files.push(("tokenizer_config.json", pretty(&text.config)));
    files.extend(text.template.map(|source| ("chat_template.jinja", source.into_bytes())));
    Ok(files)
}

/// How the makers would have the model sampled.
fn generation(metadata: &Metadata) -> Result<File> {
    let stated = GenerationDefaults::of_gguf(metadata)?;
    let mut config = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        config.extend(value.map(|value| (key.to_owned(), value)));
    };
    let greedy = stated.sample == Some(false);
    let samples = stated.temperature.or(stated.top_p).is_some() || stated.top_k.is_some();
    set("do_sample", (greedy || samples).then_some(json!(!greedy)));
    set("temperature", stated.temperature.filter(|_| !greedy).map(number));
    set("top_k", stated.top_k.map(Value::from));
    set("top_p", stated.top_p.map(number));
    set("min_p", stated.min_p.map(number));
    set("repetition_penalty", stated.repetition_penalty.map(number));
    for (key, name) in
        [("bos_token_id", "bos"), ("eos_token_id", "eos"), ("pad_token_id", "padding")]
    {
        set(key, token_id(metadata, name)?.map(Value::from));
    }
    Ok(("generation_config.json", pretty(&config.into())))
}

/// How hidden states become one vector, as sentence-transformers has it.
fn pooled(width: usize, metadata: &Metadata) -> Result<Vec<File>> {
    let Some(pool) = pooling::of_gguf(metadata)? else { return Ok(Vec::new()) };
    let config = json!({
        "word_embedding_dimension": width,
        "pooling_mode_cls_token": pool == Pool::Class,
        "pooling_mode_mean_tokens": pool == Pool::Mean,
        "pooling_mode_max_tokens": pool == Pool::Max,
        "pooling_mode_lasttoken": pool == Pool::Last,
    });
    let module = |id: usize, name: &str, path: &str| {
        let kind = format!("sentence_transformers.models.{name}");
        json!({"idx": id, "name": id.to_string(), "path": path, "type": kind})
    };
    let modules = json!([module(0, "Transformer", ""), module(1, "Pooling", "1_Pooling")]);
    Ok(vec![("1_Pooling/config.json", pretty(&config)), ("modules.json", pretty(&modules))])
}

/// How images are prepared.
fn images(vision: &Vision, metadata: &Metadata, from: &Checkpoint) -> Result<Vec<File>> {
    let Some(preprocessor) = gguf_model::preprocessor(metadata, from, vision)? else {
        return Ok(Vec::new());
    };
    Ok(vec![("preprocessor_config.json", pretty(&preprocessor_config(&preprocessor)))])
}

fn preprocessor_config(preprocessor: &Preprocessor) -> Value {
    let list = |values: &[f32]| values.iter().map(|&value| number(value)).collect::<Vec<_>>();
    let mut config = json!({
        "image_processor_type": "ViTImageProcessor",
        "do_resize": preprocessor.resize.is_some(),
        "resample": preprocessor.resample.number(),
        "do_center_crop": preprocessor.crop.is_some(),
        "do_rescale": true,
        "rescale_factor": number(preprocessor.rescale),
        "do_normalize": true,
        "image_mean": list(&preprocessor.mean),
        "image_std": list(&preprocessor.std),
    });
    match preprocessor.resize {
        Some(Resize::Exact { height, width }) => {
            config["size"] = json!({"height": height, "width": width});
        }
        Some(Resize::ShortestEdge(edge)) => config["size"] = json!({"shortest_edge": edge}),
        None => {}
    }
    if let Some([height, width]) = preprocessor.crop {
        config["crop_size"] = json!({"height": height, "width": width});
    }
    config
}
