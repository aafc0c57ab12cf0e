//! Tensors that are changed when they are made.

use edgeformer_core::{Format, Tensor};
use edgeformer_models::checkpoint::{Checkpoint, LazyTensor};

use crate::{Error, Result};

/// The tensor of that name.
///
/// # Errors
/// If there is none.
pub(super) fn need<'a>(checkpoint: &'a Checkpoint, name: &str) -> Result<&'a LazyTensor> {
    checkpoint
        .tensor(name)
        .ok_or_else(|| Error::tensor(name, "is missing: fetch or convert the model again"))
}

/// Puts another tensor in the place of the one that has its name.
pub(super) fn replace(checkpoint: &mut Checkpoint, tensor: LazyTensor) {
    let old = checkpoint.tensors.iter_mut().find(|old| old.name() == tensor.name());
    if let Some(old) = old {
        *old = tensor;
    }
}

/// Makes the tensor of that name one in f32 that `change` is applied to when it is made. `change`
/// may fail where it reads other tensors.
///
/// # Errors
/// If there is no such tensor.
pub(super) fn edit(
    checkpoint: &mut Checkpoint,
    name: &str,
    change: impl Fn(&mut [f32]) -> edgeformer_models::Result<()> + Send + Sync + 'static,
) -> Result<()> {
    let before = need(checkpoint, name)?.clone();
    let shape = before.shape().to_vec();
    let after = LazyTensor::new(name, Format::F32, shape.clone(), move || {
        let mut values = before.load()?.to_f32();
        change(&mut values)?;
        Tensor::from_f32(shape.clone(), &values).map_err(|error| {
            edgeformer_models::Error::Text(format!("tensor {:?}: {error}", before.name()))
        })
    });
    replace(checkpoint, after);
    Ok(())
}

/// Columns of a tensor: its last dimension.
pub(super) fn columns(tensor: &LazyTensor) -> usize {
    tensor.shape().last().copied().unwrap_or(1)
}

/// Matrices of a stack, 1 for any other tensor.
pub(super) fn matrices(tensor: &LazyTensor) -> usize {
    match tensor.shape() {
        [stacked @ .., _, _] => stacked.iter().product(),
        _ => 1,
    }
}

/// Rows of all matrices together.
pub(super) fn rows(tensor: &LazyTensor) -> usize {
    tensor.elements() / columns(tensor).max(1)
}
