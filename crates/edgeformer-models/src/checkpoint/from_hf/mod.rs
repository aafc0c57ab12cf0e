//! A Hugging Face folder as llama.cpp's `convert_hf_to_gguf.py` would make it.
//!
//! - `keys`: what metadata are written with
//! - `decoder`, `encoder`, `rope`: hyper-parameters to keys and tensors of divisors
//! - `general`: keys that say nothing about the graph
//! - `tensors`: weights under their GGUF names, in llama.cpp's layout
//! - `check`: whether a reader of the result finds the model again

mod check;
mod decoder;
mod encoder;
mod general;
mod keys;
mod rope;
mod tensors;

use std::path::Path;
use std::sync::Arc;

use edgeformer_core::Backing;

use super::{Checkpoint, OutType};
use crate::hyper::Hyper;
use crate::json::Object;
use crate::open::labels;
use crate::safetensors::Safetensors;
use crate::text::Tokenizer;
use crate::{Error, Result, families, hf_config};
use keys::Writer;

pub(super) use check::difference;
pub(crate) use keys::architecture;
pub(super) use rope::divisors;

/// Where llama3's scaling is kept, which GGUF states as a tensor of divisors alone: factor, low
/// and high frequency factor, original context.
pub(super) const LLAMA3: &str = "edgeformer.rope.llama3";
/// The `model_type` where two share one architecture.
pub(super) const MODEL_TYPE: &str = "edgeformer.model_type";

/// Opens a folder as a checkpoint.
pub(super) fn open(folder: &Path) -> Result<Checkpoint> {
    let config = Object::read(&folder.join("config.json"))?;
    let hyper = hf_config::hyper(&config)?;
    let files = Arc::new(Safetensors::open(folder)?);
    hf_config::check_depth(&hyper, &files)?;
    let graph = families::graph(&hyper)
        .map_err(|source| Error::Core { path: config.path().into(), source })?;

    let mut keys = Writer::new(hyper.family());
    general::identity(&mut keys, folder);
    match &hyper {
        Hyper::Decoder(decoder) => decoder::keys(&mut keys, decoder, &config)?,
        Hyper::Encoder(encoder) => encoder::bert(&mut keys, encoder, folder)?,
        Hyper::Vision(vision) => {
            encoder::vit(&mut keys, vision, folder, labels(&config, &hyper)?)?;
        }
    }
    if let (Some(classes), false) = (hyper.classes(), matches!(hyper, Hyper::Vision(_))) {
        general::classes(&mut keys, classes, labels(&config, &hyper)?);
    }
    let mut tensors = match &hyper {
        Hyper::Decoder(decoder) => rope::tensors(decoder),
        Hyper::Encoder(_) | Hyper::Vision(_) => Vec::new(),
    };
    tensors.extend(tensors::tensors(&graph, &hyper, &files, &mut keys)?);
    general::sampling(&mut keys, folder, &config)?;
    if let Hyper::Decoder(_) | Hyper::Encoder(_) = &hyper {
        let tokenizer = Tokenizer::gguf_keys_of_folder(folder, graph.vocabulary())?;
        general::tokens(&mut keys, tokenizer, &config)?;
    }

    let backings = files.files().map(|file| Arc::new(file.clone()) as Arc<dyn Backing>).collect();
    let made = Checkpoint { path: folder.into(), metadata: keys.metadata, tensors, backings };
    let made = made.with_outtype(OutType::Auto);
    check::reads_back(&made, &hyper, &config)?;
    Ok(made)
}
