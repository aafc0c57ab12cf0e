//! A file, written.

use std::path::Path;

use edgeformer_core::{Adapter, LowRank, Tensor};

use super::{ALPHA, ARCHITECTURE, METHOD, TABLE, TYPE};
use crate::adapter::{Layout, place};
use crate::checkpoint::architecture;
use crate::gguf::GgufWriter;
use crate::hf_config::transpose;
use crate::open::ModelFile;
use crate::{Error, Result};

/// Writes an adapter of an open model as a GGUF file that llama.cpp loads beside the model's. It
/// appears whole.
///
/// A file has one alpha: where scales do not follow from it, they are multiplied into B.
///
/// # Errors
/// If a tensor has a name too long for the format, or writing fails.
pub fn write_gguf(adapter: &Adapter, file: &ModelFile, to: &Path) -> Result<()> {
    let core = |source| Error::Core { path: to.into(), source };
    let placed =
        place::to_layout(adapter, &file.hyper, Layout::of(file), Layout::Gguf).map_err(core)?;
    let alpha = common_alpha(&placed);
    let mut writer = GgufWriter::new();
    writer
        .metadata(TYPE, "adapter")
        .metadata(ARCHITECTURE, architecture(file.hyper.family()))
        .metadata(METHOD, "lora")
        .metadata(ALPHA, alpha);
    for (name, pair) in &placed.pairs {
        let (a, b) = matrices(name, pair, alpha / pair.rank() as f32).map_err(core)?;
        writer.tensor(format!("{name}.lora_a"), &a).tensor(format!("{name}.lora_b"), &b);
    }
    writer.write_file(to)
}

/// The alpha of the first pair that is not multiplied with zero, for which 0 would not do.
fn common_alpha(adapter: &Adapter) -> f32 {
    let alphas = adapter.pairs.values().map(|pair| pair.scale * pair.rank() as f32);
    alphas.into_iter().find(|&alpha| alpha != 0.0).unwrap_or(1.0)
}

/// A and B as the file has them, where the file's scale is `stated`.
fn matrices(name: &str, pair: &LowRank, stated: f32) -> edgeformer_core::Result<(Tensor, Tensor)> {
    let b = match pair.scale == stated {
        true => pair.b.clone(),
        false => times(&pair.b, pair.scale / stated)?,
    };
    if name != TABLE {
        return Ok((pair.a.clone(), b));
    }
    let a = times(&pair.a, 1.0)?;
    Ok((b, transpose(&a)?))
}

fn times(tensor: &Tensor, factor: f32) -> edgeformer_core::Result<Tensor> {
    let values: Vec<f32> = tensor.to_f32().into_iter().map(|value| value * factor).collect();
    Tensor::from_f32(tensor.shape(), &values)
}
