//! Tensors of a converted layer, made together when the first of them is asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use edgeformer_core::{Format, Tensor};
use edgeformer_models::checkpoint::LazyTensor;

use super::linear::Matrix;
use crate::{Error, Result};

/// A layer's tensors by their names.
pub(super) type Tensors = HashMap<String, Tensor>;

/// The function that converts a layer, with the last layer it made: files are written layer by
/// layer, so each is made once and one is held.
pub(super) struct Layers {
    convert: Box<dyn Fn(usize) -> Result<Tensors> + Send + Sync>,
    last: Mutex<Option<(usize, Arc<Tensors>)>>,
}

impl Layers {
    pub fn new(convert: impl Fn(usize) -> Result<Tensors> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { convert: Box::new(convert), last: Mutex::new(None) })
    }

    /// An f32 tensor of a layer.
    pub fn tensor(self: &Arc<Self>, layer: usize, name: String, shape: &[usize]) -> LazyTensor {
        let (layers, wanted) = (self.clone(), name.clone());
        LazyTensor::new(name, Format::F32, shape, move || {
            layers.get(layer, &wanted).map_err(|e| edgeformer_models::Error::Text(e.to_string()))
        })
    }

    fn get(&self, layer: usize, name: &str) -> Result<Tensor> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let tensors = match &*last {
            Some((made, tensors)) if *made == layer => tensors.clone(),
            _ => {
                let made = Arc::new((self.convert)(layer)?);
                *last = Some((layer, made.clone()));
                made
            }
        };
        tensors.get(name).cloned().ok_or_else(|| Error::tensor(name, "was not made"))
    }
}

/// A matrix as an f32 tensor of that shape.
pub(super) fn tensor(matrix: &Matrix, shape: &[usize]) -> Result<Tensor> {
    let transposed = matrix.transpose();
    let values: Vec<f32> = transposed.iter().map(|&value| value as f32).collect();
    Ok(Tensor::from_f32(shape, &values)?)
}
