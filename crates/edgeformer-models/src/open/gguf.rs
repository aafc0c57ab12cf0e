//! A GGUF file.

use std::path::PathBuf;
use std::sync::Arc;

use edgeformer_core::Model;

use super::{ModelFile, OpenOptions, Source, SourceKind, fitting, graph};
use crate::generation::GenerationDefaults;
use crate::gguf::Gguf;
use crate::hyper::Hyper;
use crate::text::{ChatTemplate, Tokenizer};
use crate::{Result, gguf_model, pooling};

pub(super) fn open(path: PathBuf, gguf: Gguf, options: &OpenOptions) -> Result<ModelFile> {
    refuse_part(&gguf)?;
    let hyper = gguf_model::hyper(gguf.metadata(), &gguf)?;
    gguf_model::check_depth(&hyper, &gguf)?;
    let graph = graph(&hyper, &path)?;
    let weights = gguf_model::weights(&graph, &hyper, &gguf)?;
    let labels = gguf_model::labels(gguf.metadata(), &hyper)?;
    let preprocessor = match &hyper {
        Hyper::Vision(vision) => gguf_model::preprocessor(gguf.metadata(), &gguf, vision)?,
        Hyper::Decoder(_) | Hyper::Encoder(_) => None,
    };
    let model = Model { graph, weights };
    let tokenizer = if options.tokenizer { Tokenizer::from_gguf(&gguf)? } else { None };
    let tokenizer = fitting(tokenizer, &model)?;
    let template = tokenizer.as_ref().map(|tokenizer| ChatTemplate::from_gguf(&gguf, tokenizer));
    Ok(ModelFile {
        chat_template: template.transpose()?.flatten(),
        tokenizer,
        model: Arc::new(model),
        hyper,
        generation: GenerationDefaults::of_gguf(gguf.metadata())?,
        labels,
        preprocessor,
        pooling: pooling::of_gguf(gguf.metadata())?,
        source: Source { path, kind: SourceKind::Gguf(gguf) },
    })
}

/// A model may come in several files, of which one alone is not read.
fn refuse_part(gguf: &Gguf) -> Result<()> {
    match gguf.metadata().u32("split.count")? {
        Some(count) if count > 1 => {
            let problem = format!(
                "says this is one of {count} parts: make one file of them (llama-gguf-split --merge)"
            );
            Err(gguf.metadata().error("split.count", problem))
        }
        _ => Ok(()),
    }
}
