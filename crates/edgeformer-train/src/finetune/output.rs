//! What was learned, written.

use std::path::{Path, PathBuf};

use edgeformer_core::{Adapter, LowRank};
use edgeformer_models::adapter::{PeftOptions, write_peft};
use edgeformer_models::checkpoint::{Checkpoint, OutType};
use edgeformer_models::classifier::Classifier;

use super::base::Subject;
use super::request::Request;
use crate::result::learned_tensor;
use crate::{Error, Parameter, Result, with_learned};

/// Writes the adapter, as a folder that peft loads, or the model, as the base is. Gives its place.
pub(super) fn write(
    request: &Request,
    subject: &Subject,
    parameters: &[Parameter],
) -> Result<PathBuf> {
    match &subject.adapter {
        Some(adapter) => {
            let to = request.output.join("adapter");
            let learned = learned_adapter(adapter, parameters)?;
            let base_model = Some(request.model.display().to_string());
            write_peft(&learned, &subject.file, &to, &PeftOptions { base_model })?;
            Ok(to)
        }
        None => write_model(request, subject.classifier.as_ref(), parameters),
    }
}

fn write_model(
    request: &Request,
    classifier: Option<&Classifier>,
    parameters: &[Parameter],
) -> Result<PathBuf> {
    let base = Checkpoint::open(&request.model)?;
    let base = classifier.into_iter().fold(base, Checkpoint::with_classifier);
    let checkpoint = with_learned(&base, parameters)?;
    if !request.model.is_dir() {
        let to = request.output.join("model.gguf");
        checkpoint.write_gguf(&to)?;
        return Ok(to);
    }
    let to = request.output.join("model");
    checkpoint.to_hf(OutType::Auto)?.write(&to, &mut |_, _| Ok(()))?;
    copy_rest(&request.model, &to)?;
    Ok(to)
}

/// Files of the base beside its weights that the new folder does not have: vocabularies, notes of
/// generation.
fn copy_rest(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from).map_err(|source| Error::io(from, source))? {
        let entry = entry.map_err(|source| Error::io(from, source))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let is_text = path.extension().is_some_and(|ending| {
            ["json", "txt", "model", "jinja"].iter().any(|known| ending == *known)
        });
        let is_index = path.file_name().is_some_and(|name| name == "model.safetensors.index.json");
        if is_text && !is_index && path.is_file() && !target.exists() {
            std::fs::copy(&path, &target).map_err(|source| Error::io(&target, source))?;
        }
    }
    Ok(())
}

/// The adapter with the matrices that were learned.
fn learned_adapter(adapter: &Adapter, parameters: &[Parameter]) -> Result<Adapter> {
    let mut learned = adapter.clone();
    for (weight, pair) in &mut learned.pairs {
        let matrix = |which: &str| {
            let name = format!("{weight}.{which}");
            let found = parameters.iter().find(|parameter| parameter.name == name);
            learned_tensor(found.expect("every matrix of the adapter learns"))
        };
        *pair = LowRank { a: matrix("lora_a")?, b: matrix("lora_b")?, scale: pair.scale };
    }
    Ok(learned)
}
