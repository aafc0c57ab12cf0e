//! Models that have not learned anything: a configuration and random weights.

use std::fs;
use std::path::Path;

use edgeformer_core::graph::WeightInfo;
use edgeformer_core::{Graph, Tensor};

use crate::atomic::write_folder_atomically;
use crate::error::quote;
use crate::hf_config::{self, Names, names};
use crate::hyper::{Decoder, Hyper};
use crate::json::Object;
use crate::safetensors::write_for_torch;
use crate::{Error, Result, families};

/// What a weight is before it learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// This everywhere: norms and biases.
    Constant(f32),
    /// Normally distributed around zero with this deviation: matrices.
    Normal(f32),
}

/// The deviation that `transformers` takes where a configuration has no `initializer_range`.
pub(crate) const DEVIATION: f32 = 0.02;

/// Files of a folder beside `config.json` that belong to a model without weights.
const COPIED: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "generation_config.json",
    "chat_template.jinja",
];

/// Writes a Hugging Face folder of the model that the `config.json` in `from` describes, with the
/// weights that `values` makes in f32, and with the tokenizer of `from`. It appears whole.
///
/// # Errors
/// If the configuration is damaged or of no model that continues text, or writing fails.
///
/// # Panics
/// If `values` makes more or fewer values than the weight has.
pub fn write_initial(
    from: &Path,
    to: &Path,
    values: &mut dyn FnMut(&WeightInfo, Initial) -> Vec<f32>,
) -> Result<()> {
    let config = Object::read(&from.join("config.json"))?;
    let hyper = hf_config::hyper(&config)?;
    let Hyper::Decoder(decoder) = &hyper else {
        let problem = "is of no model that continues text: only these begin at random";
        return Err(config.error("model_type", problem));
    };
    if decoder.classes.is_some() {
        let problem = "are of a classifier, and only models that continue text begin at random: \
                       give one that has learned a classifier (finetune --num-labels)";
        return Err(config.error("architectures", problem));
    }
    let graph = families::graph(&hyper)
        .map_err(|source| Error::Core { path: config.path().into(), source })?;
    let deviation = config.optional_positive("initializer_range")?.unwrap_or(DEVIATION);
    let tensors = tensors(&graph, decoder, deviation, values)
        .map_err(|source| Error::Core { path: config.path().into(), source })?;
    let named: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    write_folder_atomically(to, |folder| {
        for name in std::iter::once("config.json").chain(COPIED) {
            let file = from.join(name);
            if file.is_file() {
                fs::copy(&file, folder.join(name)).map_err(|source| Error::io(&file, source))?;
            }
        }
        write_for_torch(&folder.join("model.safetensors"), &named)
    })
}

/// Every weight under the names and in the shapes that the family's folders have.
fn tensors(
    graph: &Graph,
    decoder: &Decoder,
    deviation: f32,
    values: &mut dyn FnMut(&WeightInfo, Initial) -> Vec<f32>,
) -> edgeformer_core::Result<Vec<(String, Tensor)>> {
    let table = names(decoder.family);
    let mut tensors = Vec::new();
    for info in &graph.weights {
        let name = table.of(&info.name, table.prefixes[0]).ok_or_else(|| {
            let problem = format!("has no name in {} checkpoints", decoder.family.name());
            edgeformer_core::Error::Weight { name: quote(&info.name), problem }
        })?;
        let values = values(info, initial(info, decoder, deviation));
        let tensor = Tensor::from_f32(info.shape.clone(), &values)?;
        if name.contains(".E.") {
            tensors.extend(experts(&name, &tensor)?);
        } else if Names::listed(table.transposed, &info.name) {
            tensors.push((name, hf_config::transpose(&tensor)?));
        } else {
            tensors.push((name, tensor));
        }
    }
    Ok(tensors)
}

/// What a weight begins as: as `transformers`' `_init_weights` has it.
fn initial(info: &WeightInfo, decoder: &Decoder, deviation: f32) -> Initial {
    match (info.name.contains("norm"), info.shape.len()) {
        (true, _) if info.name.ends_with(".weight") => Initial::Constant(1.0 - decoder.norm_offset),
        (_, 1) => Initial::Constant(0.0),
        _ => Initial::Normal(deviation),
    }
}

/// Stacked experts, one tensor each.
fn experts(name: &str, stacked: &Tensor) -> edgeformer_core::Result<Vec<(String, Tensor)>> {
    let (count, shape) = (stacked.shape()[0], &stacked.shape()[1..]);
    let size = stacked.bytes().len() / count;
    let one = |expert: usize| {
        let bytes = stacked.bytes().slice(expert * size..(expert + 1) * size);
        let tensor = Tensor::new(stacked.format(), shape, bytes)?;
        Ok((name.replacen(".E.", &format!(".{expert}."), 1), tensor))
    };
    (0..count).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OpenOptions, open_with};

    /// Every family that continues text begins from its configuration alone, and is read again.
    #[test]
    fn a_configuration_becomes_a_model() {
        let shared = std::env::var_os("EDGEFORMER_SHARED").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
            Into::into,
        );
        let fixtures = shared.join("fixtures/hf");
        let Ok(entries) = fs::read_dir(&fixtures) else {
            return eprintln!(
                "skipped: {} is not there (set EDGEFORMER_SHARED)",
                fixtures.display()
            );
        };
        let mut made = 0;
        for entry in entries {
            let folder = entry.expect("an entry").path();
            let to = tempfile::tempdir().expect("a temporary folder");
            let to = to.path().join("model");
            let mut next = 0.0;
            let mut values = |info: &WeightInfo, initial: Initial| {
                let count = info.shape.iter().product();
                (0..count)
                    .map(|_| match initial {
                        Initial::Constant(value) => value,
                        Initial::Normal(deviation) => {
                            next = f32::sin(next + 1.0);
                            deviation * next
                        }
                    })
                    .collect()
            };
            match write_initial(&folder, &to, &mut values) {
                Ok(()) => {
                    let file = open_with(&to, &OpenOptions { tokenizer: false });
                    let file = file.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
                    file.model.weights.check(&file.model.graph).expect("all weights are there");
                    made += 1;
                }
                Err(error) => {
                    assert!(error.to_string().contains("continues text"), "{error}");
                    assert!(!to.exists());
                }
            }
        }
        assert!(made >= 12, "{made} models");
    }
}
