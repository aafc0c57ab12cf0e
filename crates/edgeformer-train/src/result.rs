//! What was learned, as files.

use std::collections::BTreeMap;

use edgeformer_core::{Format, Tensor};
use edgeformer_models::checkpoint::{Checkpoint, LazyTensor};

use crate::parameters::Parameter;
use crate::{Error, Result};

/// A weight's values as the graph has them.
pub(crate) fn learned_tensor(parameter: &Parameter) -> Result<Tensor> {
    Ok(Tensor::from_f32(parameter.variable.dims(), &parameter.values()?)?)
}

/// A checkpoint with the values that were learned in the place of its own. They get its formats
/// where these are floats; a quantized one is quantized again.
///
/// # Errors
/// If it does not have a weight in its shape.
pub fn with_learned(checkpoint: &Checkpoint, parameters: &[Parameter]) -> Result<Checkpoint> {
    let mut learned: BTreeMap<&str, &Parameter> =
        parameters.iter().map(|parameter| (parameter.name.as_str(), parameter)).collect();
    let mut made = checkpoint.clone();
    for tensor in &mut made.tensors {
        if let Some(parameter) = learned.remove(tensor.name()) {
            *tensor = replaced(checkpoint, tensor, learned_tensor(parameter)?)?;
        }
    }
    match learned.keys().next() {
        None => Ok(made),
        Some(name) => Err(Error::file(
            checkpoint.path(),
            format!("has no tensor {name:?}, which was trained: it cannot be written back"),
        )),
    }
}

fn replaced(checkpoint: &Checkpoint, old: &LazyTensor, new: Tensor) -> Result<LazyTensor> {
    if new.elements() != old.elements() {
        let (name, found, needed) = (old.name(), new.shape(), old.shape());
        let problem =
            format!("tensor {name:?} has shape {needed:?}, what was trained has {found:?}");
        return Err(Error::file(checkpoint.path(), problem));
    }
    let tensor = match old.format() {
        Format::F32 => new.reshape(old.shape())?,
        format => Tensor::quantize(format, old.shape(), &new.to_f32())?,
    };
    Ok(LazyTensor::ready(old.name(), tensor))
}
