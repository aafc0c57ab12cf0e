//! A folder, read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use edgeformer_core::{Backing, LowRank, Tensor};

use super::config::Config;
use super::{CONFIG, PREFIX, TENSORS};
use crate::adapter::{AdapterFile, AdapterSource, Half, Part};
use crate::error::quote;
use crate::hf_config::transpose;
use crate::json::Object;
use crate::safetensors::Safetensors;
use crate::{Error, Result};

/// The parts of a tensor's name: `base_model.model.` MODULE, and what it is of it.
#[derive(Debug, Clone, Copy)]
struct Matrix {
    ending: &'static str,
    is_a: bool,
    /// Embeddings look rows up: their matrices lie the other way round.
    is_embedding: bool,
}

const MATRICES: [Matrix; 4] = [
    Matrix { ending: ".lora_A.weight", is_a: true, is_embedding: false },
    Matrix { ending: ".lora_B.weight", is_a: false, is_embedding: false },
    Matrix { ending: ".lora_embedding_A", is_a: true, is_embedding: true },
    Matrix { ending: ".lora_embedding_B", is_a: false, is_embedding: true },
];

/// Reads a folder.
///
/// # Errors
/// As [`AdapterFile::open`].
pub(in crate::adapter) fn read(folder: &Path) -> Result<AdapterFile> {
    let config = folder.join(CONFIG);
    if !config.is_file() {
        let problem = format!("holds no {CONFIG}: name a folder of peft, or a GGUF file");
        return Err(Error::format(folder, "folder", problem));
    }
    let config = Config::of(&Object::read(&config)?)?;
    let tensors = folder.join(TENSORS);
    if !tensors.is_file() {
        let problem = format!("holds no {TENSORS}: save the adapter in this format");
        return Err(Error::format(folder, "folder", problem));
    }
    let tensors = Safetensors::open(&tensors)?;
    let parts =
        halves(&tensors)?.into_iter().map(|(name, half)| part(&tensors, &config, name, half));
    let parts = parts.collect::<Result<_>>()?;
    let backings = tensors.files().map(|file| Arc::new(file.clone()) as Arc<dyn Backing>).collect();
    Ok(AdapterFile { path: folder.into(), source: AdapterSource::Peft, parts, backings })
}

/// The matrices of each module, and whether it is an embedding.
fn halves(tensors: &Safetensors) -> Result<BTreeMap<(String, bool), Half>> {
    let mut halves: BTreeMap<(String, bool), Half> = BTreeMap::new();
    for name in tensors.names() {
        let place = || format!("tensor {}", quote(name));
        let (module, matrix) = parsed(name).ok_or_else(|| {
            let problem = "is no lora_A or lora_B of a module of base_model.model: trained weights besides them are not read, merge the adapter with peft";
            Error::format(tensors.path(), place(), problem)
        })?;
        let half = halves.entry((module.to_owned(), matrix.is_embedding)).or_default();
        let slot = if matrix.is_a { &mut half.a } else { &mut half.b };
        *slot = Some(float_matrix(tensors, name)?);
    }
    Ok(halves)
}

fn parsed(name: &str) -> Option<(&str, Matrix)> {
    let name = name.strip_prefix(PREFIX)?;
    MATRICES.into_iter().find_map(|matrix| Some((name.strip_suffix(matrix.ending)?, matrix)))
}

fn float_matrix(tensors: &Safetensors, name: &str) -> Result<Tensor> {
    let problem = match tensors.tensor(name) {
        Some(tensor) if tensor.shape().len() == 2 => return Ok(tensor),
        Some(tensor) => {
            format!("has shape {:?}, adapters of matrices alone are read", tensor.shape())
        }
        None => "must be F32, F16 or BF16".into(),
    };
    Err(Error::format(tensors.path(), format!("tensor {}", quote(name)), problem))
}

fn part(
    tensors: &Safetensors,
    config: &Config,
    (name, is_embedding): (String, bool),
    half: Half,
) -> Result<Part> {
    let error = |problem: String| {
        Error::format(tensors.path(), format!("module {}", quote(&name)), problem)
    };
    let (a, b) = half
        .both()
        .map_err(|missing| error(format!("its lora_{missing} is missing: get the file again")))?;
    let (rank, other) = (a.shape()[0], b.shape()[1]);
    let stated = config.rank(&name);
    if rank != other || rank != stated {
        return Err(error(format!(
            "lora_A has rank {rank} and lora_B {other}, {CONFIG} makes it {stated}: one of the files is another adapter's"
        )));
    }
    let core = |source| Error::Core { path: tensors.path().into(), source };
    let (a, b) = match is_embedding {
        true => (transpose(&b).map_err(core)?, transpose(&a).map_err(core)?),
        false => (a, b),
    };
    let scale = config.scale(&name);
    Ok(Part { name, pair: LowRank { a, b, scale } })
}
