//! Weights under their GGUF names, in llama.cpp's layout, made one at a time.

use std::sync::Arc;

use edgeformer_core::graph::WeightInfo;
use edgeformer_core::{Format, Graph, Tensor};

use super::keys::Writer;
use crate::checkpoint::LazyTensor;
use crate::checkpoint::dtypes;
use crate::checkpoint::moves::{Move, concatenated, split_up};
use crate::error::quote;
use crate::hf_config::Reader;
use crate::hyper::{Family, Hyper, Latent};
use crate::safetensors::Safetensors;
use crate::{Error, Result};

/// Every weight of the graph. Each is looked at now, so that what is missing, left over or of
/// another shape is told before anything is written.
pub(super) fn tensors(
    graph: &Graph,
    hyper: &Hyper,
    files: &Arc<Safetensors>,
    keys: &mut Writer,
) -> Result<Vec<LazyTensor>> {
    let mut reader = Reader::new(hyper.family(), files);
    let mut tensors = Vec::with_capacity(graph.weights.len());
    let mut formats = Vec::with_capacity(graph.weights.len());
    for info in &graph.weights {
        let format = format(&mut reader, info, files)?;
        formats.push((info.name.as_str(), format));
        tensors.extend(made(info, format, hyper, files));
    }
    reader.refuse_extra(hyper)?;
    keys.metadata.extend(dtypes::record(&formats));
    Ok(tensors)
}

/// The format of a weight, which all its parts must have.
fn format(reader: &mut Reader<'_>, info: &WeightInfo, files: &Safetensors) -> Result<Format> {
    let weight = reader.found(info)?;
    let first = weight.parts()[0].format();
    if weight.parts().iter().all(|part| part.format() == first) {
        return Ok(first);
    }
    let place = format!("weight {}", quote(&info.name));
    let problem = "is of experts in several formats: convert the folder to one";
    Err(Error::format(files.path(), place, problem))
}

/// The tensors that a weight becomes: itself, or an up-projection's two halves.
fn made(
    info: &WeightInfo,
    format: Format,
    hyper: &Hyper,
    files: &Arc<Safetensors>,
) -> Vec<LazyTensor> {
    if let Some(latent) = up_projection(info, hyper) {
        return [true, false].map(|keys| half(info, format, hyper, latent, keys, files)).into();
    }
    let moved = Move::of(hyper, &info.name);
    let source = Source::of(info, hyper, files);
    let lazy = LazyTensor::new(&info.name, moved.format(format), info.shape.clone(), move || {
        source.turned(|tensor| moved.to_gguf(tensor))
    });
    vec![lazy]
}

/// The latent attention that a weight is the up-projection of.
fn up_projection(info: &WeightInfo, hyper: &Hyper) -> Option<Latent> {
    let Hyper::Decoder(decoder) = hyper else { return None };
    decoder.latent.filter(|_| info.name.ends_with(".attn_kv_b.weight"))
}

fn half(
    info: &WeightInfo,
    format: Format,
    hyper: &Hyper,
    latent: Latent,
    keys: bool,
    files: &Arc<Safetensors>,
) -> LazyTensor {
    let name = info.name.replace("attn_kv_b", if keys { "attn_k_b" } else { "attn_v_b" });
    let heads = info.shape[0] / (latent.nope_dim + latent.value_dim);
    let shape = match keys {
        true => [heads, latent.rank, latent.nope_dim],
        false => [heads, latent.value_dim, latent.rank],
    };
    let source = Source::of(info, hyper, files);
    LazyTensor::new(name, format, shape, move || {
        source.turned(|tensor| split_up(&tensor, &latent, keys))
    })
}

/// A weight among the files.
struct Source {
    info: WeightInfo,
    family: Family,
    files: Arc<Safetensors>,
}

impl Source {
    fn of(info: &WeightInfo, hyper: &Hyper, files: &Arc<Safetensors>) -> Self {
        Self { info: info.clone(), family: hyper.family(), files: files.clone() }
    }

    /// The weight as one tensor, moved to where GGUF has it.
    fn turned(&self, turn: impl Fn(Tensor) -> edgeformer_core::Result<Tensor>) -> Result<Tensor> {
        let weight = Reader::new(self.family, &self.files).weight(&self.info)?;
        concatenated(weight.parts(), &self.info.shape)
            .and_then(turn)
            .map_err(|source| Error::Core { path: self.files.path().into(), source })
    }
}
