use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Result, Tensor, TensorId, Var};

/// Gradients of matrices, put aside by the products that find them. Candle would add each to zeros that
/// it makes for it: three walks through memory for all weights in the place of one.
///
/// Clones are one place.
#[derive(Debug, Clone, Default)]
pub struct MatrixGradients(Arc<Mutex<HashMap<TensorId, Tensor>>>);

impl MatrixGradients {
    /// Adds what a product has found of a matrix.
    pub(super) fn add(&self, matrix: &Tensor, found: Tensor) -> Result<()> {
        // A map that another thread left by a panic is whole nevertheless.
        let mut gradients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = match gradients.remove(&matrix.id()) {
            Some(sum) => (sum + found)?,
            None => found,
        };
        gradients.insert(matrix.id(), sum);
        Ok(())
    }

    /// That of a variable, which is not here any more afterwards.
    pub fn take(&self, variable: &Var) -> Option<Tensor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&variable.as_tensor().id())
    }
}
