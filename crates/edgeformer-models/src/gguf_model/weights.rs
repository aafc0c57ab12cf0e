//! The weights of a graph from a GGUF file, whose names are the graph's.

use std::collections::HashSet;
use std::sync::Arc;

use edgeformer_core::{Graph, Weight, Weights};

use crate::error::quote;
use crate::gguf::Gguf;
use crate::hyper::Hyper;
use crate::{Error, Result};

/// Tensors that may be there and are no weights of the graph: divisors of rotary frequencies
/// (hyper-parameters here), heads of encoders, and the split form of an up-projection that the
/// file also holds whole.
const IGNORED: [&str; 8] = [
    "rope_freqs.weight",
    "rope_factors_long.weight",
    "rope_factors_short.weight",
    ".attn_rot_embd.weight",
    ".attn_k_b.weight",
    ".attn_v_b.weight",
    "cls.weight",
    "cls.bias",
];

/// Whether the tensors reach the last layer that the metadata state, before a graph of that many
/// layers is built.
pub(crate) fn check_depth(hyper: &Hyper, gguf: &Gguf) -> Result<()> {
    let last = hyper.layers() - 1;
    let name = match hyper {
        Hyper::Encoder(_) => format!("blk.{last}.attn_output_norm.weight"),
        Hyper::Decoder(_) => format!("blk.{last}.attn_norm.weight"),
        Hyper::Vision(_) => format!("v.blk.{last}.ln1.weight"),
    };
    match gguf.info(&name) {
        Some(_) => Ok(()),
        None => Err(missing(gguf, hyper, &name)),
    }
}

/// Every weight that `graph` names, in its shape, and nothing in the file left over.
///
/// # Errors
/// The first tensor that is missing, left over, or of another shape.
pub(crate) fn weights(graph: &Graph, hyper: &Hyper, gguf: &Gguf) -> Result<Weights> {
    let mut weights = Weights::default();
    for info in &graph.weights {
        let tensor = gguf.tensor(&info.name).ok_or_else(|| missing(gguf, hyper, &info.name))?;
        if tensor.shape() != info.shape {
            let problem = format!(
                "has shape {:?}, the metadata make it {:?}: convert the model again",
                tensor.shape(),
                info.shape
            );
            return Err(error(gguf, &info.name, problem));
        }
        weights.insert(&info.name, Weight::whole(tensor));
    }
    refuse_extra(graph, hyper, gguf)?;
    if let Some(file) = gguf.file() {
        weights.add_backing(Arc::new(file.clone()));
    }
    Ok(weights)
}

fn refuse_extra(graph: &Graph, hyper: &Hyper, gguf: &Gguf) -> Result<()> {
    let used: HashSet<&str> = graph.weights.iter().map(|info| info.name.as_str()).collect();
    let ignored = |name: &str| IGNORED.iter().any(|ignored| name.ends_with(ignored));
    let extra = gguf.tensors().find(|info| !used.contains(info.name()) && !ignored(info.name()));
    let Some(info) = extra else { return Ok(()) };
    let problem =
        format!("is left over: {} models of this shape do not have it", hyper.family().name());
    Err(error(gguf, info.name(), problem))
}

fn missing(gguf: &Gguf, hyper: &Hyper, name: &str) -> Error {
    let problem = format!(
        "is missing: {} models need it; fetch or convert the file again",
        hyper.family().name()
    );
    error(gguf, name, problem)
}

fn error(gguf: &Gguf, name: &str, problem: String) -> Error {
    Error::format(gguf.path(), format!("tensor {}", quote(name)), problem)
}
