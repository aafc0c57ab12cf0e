use nalgebra::DMatrix;

use crate::{Error, Result};

/// What a calibration text showed of the inputs of attention: for each layer `E[x xᵀ]`, the mean of
/// the outer products of the normalised rows that go into `attn_q`, `attn_k` and `attn_v`.
#[derive(Debug, Clone)]
pub struct AttentionCalibration {
    moments: Vec<DMatrix<f64>>,
}

impl AttentionCalibration {
    /// The second moments of the layers, in order, each `[width, width]`.
    ///
    /// # Errors
    /// If a matrix is not square and finite.
    pub fn new(moments: Vec<DMatrix<f64>>) -> Result<Self> {
        for (layer, moment) in moments.iter().enumerate() {
            if !moment.is_square() || moment.iter().any(|value| !value.is_finite()) {
                let problem = format!(
                    "the calibration of layer {layer} is no square matrix of finite numbers: record it again"
                );
                return Err(Error::Request(problem));
            }
        }
        Ok(Self { moments })
    }

    pub(super) fn check(&self, layers: usize, width: usize) -> Result<()> {
        let fits = |moment: &DMatrix<f64>| moment.nrows() == width;
        if self.moments.len() == layers && self.moments.iter().all(fits) {
            return Ok(());
        }
        let found = self.moments.first().map_or(0, DMatrix::nrows);
        Err(Error::Request(format!(
            "the calibration is of {} layers of width {found}, the model has {layers} of width {width}: record it with this model",
            self.moments.len()
        )))
    }

    pub(super) fn moment(&self, layer: usize) -> &DMatrix<f64> {
        &self.moments[layer]
    }
}
