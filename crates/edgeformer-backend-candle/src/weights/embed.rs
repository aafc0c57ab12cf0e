use candle_core::Tensor;
use edgeformer_core::graph::WeightId;
use edgeformer_core::{Error, Weight};

use super::{DeviceWeights, Form, widen};
use crate::error::Result;

impl DeviceWeights {
    /// The rows of a table, `[tokens, width]`. Of a table of floats on the device they are picked
    /// there, differentiably; of any other only they are dequantized, on the host.
    pub(crate) fn embed(&self, id: WeightId, tokens: &[u32]) -> Result<Tensor> {
        let weight = &self.weights[id.index()];
        match (&weight.form, &weight.table) {
            (Form::Dense(table), _) => {
                let vocabulary = table.dim(0)?;
                check(tokens, vocabulary)?;
                let tokens = Tensor::from_slice(tokens, tokens.len(), &self.device)?;
                Ok(widen(&table.index_select(&tokens, 0)?, self.dtype)?)
            }
            (_, Some(table)) => {
                check(tokens, table.shape()[0])?;
                let width = table.shape()[1];
                let values = rows(table, tokens, width)?;
                let rows = Tensor::from_vec(values, (tokens.len(), width), &self.device)?;
                Ok(rows.to_dtype(self.dtype)?)
            }
            (_, None) => Err(self.misplaced(id)),
        }
    }
}

fn check(tokens: &[u32], vocabulary: usize) -> Result<()> {
    match tokens.iter().find(|&&token| token as usize >= vocabulary) {
        Some(&token) => Err(Error::Token { token, vocabulary }.into()),
        None => Ok(()),
    }
}

fn rows(table: &Weight, tokens: &[u32], width: usize) -> Result<Vec<f32>> {
    let mut values = vec![0.0; tokens.len() * width];
    for (&token, values) in tokens.iter().zip(values.chunks_exact_mut(width)) {
        let mut row = token as usize;
        for part in table.parts() {
            let count = part.shape()[0];
            if row < count {
                let size = part.bytes().len() / count;
                part.format().dequantize(&part.bytes()[row * size..][..size], values)?;
                break;
            }
            row -= count;
        }
    }
    Ok(values)
}
