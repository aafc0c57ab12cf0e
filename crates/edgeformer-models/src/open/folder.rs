//! A folder as Hugging Face lays it out.

use std::path::Path;
use std::sync::Arc;

use edgeformer_core::Model;
use serde_json::Value;

use super::{ModelFile, OpenOptions, Source, SourceKind, fitting, graph};
use crate::generation::GenerationDefaults;
use crate::hyper::{Hyper, Vision};
use crate::json::Object;
use crate::preprocessor::Preprocessor;
use crate::safetensors::Safetensors;
use crate::text::{ChatTemplate, Tokenizer};
use crate::{Result, hf_config, pooling};

/// The file that makes a folder a model.
pub(super) const CONFIG: &str = "config.json";

pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<ModelFile> {
    let config = Object::read(&path.join(CONFIG))?;
    let hyper = hf_config::hyper(&config)?;
    let tensors = Safetensors::open(path)?;
    hf_config::check_depth(&hyper, &tensors)?;
    let graph = graph(&hyper, config.path())?;
    let weights = hf_config::weights(&graph, &hyper, &tensors)?;
    let labels = labels(&config, &hyper)?;
    let preprocessor = match &hyper {
        Hyper::Vision(vision) => preprocessor(path, vision)?,
        Hyper::Decoder(_) | Hyper::Encoder(_) => None,
    };
    let model = Model { graph, weights };
    let tokenizer = if options.tokenizer { Tokenizer::from_folder(path)? } else { None };
    let tokenizer = fitting(tokenizer, &model)?;
    let template = tokenizer.as_ref().map(|tokenizer| ChatTemplate::from_folder(path, tokenizer));
    Ok(ModelFile {
        chat_template: template.transpose()?.flatten(),
        tokenizer,
        model: Arc::new(model),
        generation: GenerationDefaults::of_folder(path, &config)?,
        labels,
        preprocessor,
        pooling: pooling::of_folder(path)?,
        source: Source {
            path: path.into(),
            kind: SourceKind::HuggingFace { config: lines(&config), tensors },
        },
        hyper,
    })
}

/// How a folder would have images prepared.
pub(crate) fn preprocessor(folder: &Path, vision: &Vision) -> Result<Option<Preprocessor>> {
    let config = Object::read_optional(&folder.join("preprocessor_config.json"))?;
    config.map(|config| Preprocessor::of(&config, vision.channels, vision.image)).transpose()
}

/// `id2label` in the order of its ids, which are 0 to the number of classes; empty where a
/// configuration names none.
pub(crate) fn labels(config: &Object, hyper: &Hyper) -> Result<Vec<String>> {
    let Some(classes) = hyper.classes() else { return Ok(Vec::new()) };
    let Some(map) = config.optional_object("id2label")? else { return Ok(Vec::new()) };
    let mut labels = vec![None; classes];
    for (id, label) in map.entries() {
        let slot = id.parse().ok().and_then(|id: usize| labels.get_mut(id));
        let (Some(slot), Value::String(label)) = (slot, label) else {
            let problem = format!("must be a text, its id a number below {classes}");
            return Err(map.error(id, problem));
        };
        *slot = Some(label.clone());
    }
    let missing = |id: usize| map.error(&id.to_string(), "is missing: every class needs a name");
    labels.into_iter().enumerate().map(|(id, label)| label.ok_or_else(|| missing(id))).collect()
}

fn lines(config: &Object) -> Vec<(String, String)> {
    config.entries().map(|(key, value)| (key.to_owned(), value.to_string())).collect()
}
