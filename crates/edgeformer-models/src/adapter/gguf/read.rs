//! A file, read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use edgeformer_core::{Backing, LowRank, Tensor};

use super::{ALPHA, ARCHITECTURE, INVOCATION, METHOD, TABLE, TYPE};
use crate::adapter::{AdapterFile, AdapterSource, Half, Part};
use crate::error::quote;
use crate::gguf::{Gguf, Metadata};
use crate::hf_config::transpose;
use crate::{Error, Result};

/// Reads a file.
///
/// # Errors
/// As [`AdapterFile::open`].
pub(in crate::adapter) fn read(path: &Path) -> Result<AdapterFile> {
    let gguf = Gguf::open(path)?;
    let metadata = gguf.metadata();
    check(metadata)?;
    let alpha = metadata.f32(ALPHA)?.unwrap_or(0.0);
    let architecture = metadata.need(ARCHITECTURE, Metadata::str)?.to_owned();
    let parts = halves(&gguf)?.into_iter().map(|(name, half)| part(&gguf, alpha, name, half));
    Ok(AdapterFile {
        path: path.into(),
        source: AdapterSource::Gguf { architecture },
        parts: parts.collect::<Result<_>>()?,
        backings: gguf
            .file()
            .map(|file| Arc::new(file.clone()) as Arc<dyn Backing>)
            .into_iter()
            .collect(),
    })
}

/// Whether the file is a low-rank adapter that acts on every token.
fn check(metadata: &Metadata) -> Result<()> {
    for (key, needed) in [(TYPE, "adapter"), (METHOD, "lora")] {
        let problem = match metadata.str(key)? {
            Some(found) if found == needed => continue,
            Some(found) => format!("is {}, that of an adapter is {needed}", quote(found)),
            None => format!("is missing, that of an adapter is {needed}"),
        };
        return Err(metadata.error(key, format!("{problem}: name an adapter's file")));
    }
    match metadata.get(INVOCATION) {
        Some(_) => Err(metadata.error(INVOCATION, "asks for aLoRA, which is not read")),
        None => Ok(()),
    }
}

fn halves(gguf: &Gguf) -> Result<BTreeMap<String, Half>> {
    let mut halves: BTreeMap<String, Half> = BTreeMap::new();
    for info in gguf.tensors() {
        let name = info.name();
        let error =
            |problem: &str| Error::format(gguf.path(), format!("tensor {}", quote(name)), problem);
        let (weight, is_a) = match (name.strip_suffix(".lora_a"), name.strip_suffix(".lora_b")) {
            (Some(weight), _) => (weight, true),
            (_, Some(weight)) => (weight, false),
            (None, None) => {
                let problem = "is no lora_a or lora_b: trained weights besides them are not read";
                return Err(error(problem));
            }
        };
        let tensor = gguf.tensor(name).ok_or_else(|| error("is missing"))?;
        let half = halves.entry(weight.to_owned()).or_default();
        *(if is_a { &mut half.a } else { &mut half.b }) = Some(tensor);
    }
    Ok(halves)
}

fn part(gguf: &Gguf, alpha: f32, name: String, half: Half) -> Result<Part> {
    let error =
        |problem: String| Error::format(gguf.path(), format!("weight {}", quote(&name)), problem);
    let (a, b) = half.both().map_err(|missing| {
        error(format!("its lora_{} is missing: get the file again", missing.to_lowercase()))
    })?;
    let (a, b) = if name == TABLE { (turned(gguf, &b)?, a) } else { (a, b) };
    let mut pair = LowRank { a, b, scale: 1.0 };
    pair.shape().map_err(error)?;
    if alpha != 0.0 {
        pair.scale = alpha / pair.rank() as f32;
    }
    Ok(Part { name, pair })
}

/// Rows and columns exchanged.
fn turned(gguf: &Gguf, matrix: &Tensor) -> Result<Tensor> {
    let core = |source| Error::Core { path: gguf.path().into(), source };
    let floats = Tensor::from_f32(matrix.shape(), &matrix.to_f32()).map_err(core)?;
    transpose(&floats).map_err(core)
}
