//! What goes into the keys of attention while a model reads a text.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edgeformer_core::{InputObserver, ObservedInput, Rows};
use nalgebra::DMatrix;

use super::AttentionCalibration;
use crate::{Error, Result};

/// Sums up the outer products of the inputs of attention, of an observed session. Clones add to the
/// same sums.
#[derive(Debug, Clone, Default)]
pub struct AttentionCollector {
    layers: Arc<Mutex<BTreeMap<usize, Sum>>>,
}

/// Of one layer, in double precision: a long text adds small products to large sums.
#[derive(Debug)]
struct Sum {
    products: DMatrix<f64>,
    rows: usize,
}

impl AttentionCollector {
    /// What a session is given to fill this.
    pub fn observer(&self) -> InputObserver {
        let collector = self.clone();
        Box::new(move |input| collector.add(input))
    }

    /// The means of what was seen.
    ///
    /// # Errors
    /// If nothing was seen of a layer.
    pub fn calibration(&self) -> Result<AttentionCalibration> {
        let layers = self.lock();
        if layers.is_empty() || !layers.keys().copied().eq(0..layers.len()) {
            let problem = "the text did not go through the attention of every layer: only models with attn_k in each are calibrated";
            return Err(Error::Request(problem.into()));
        }
        let mean = |sum: &Sum| &sum.products / sum.rows.max(1) as f64;
        AttentionCalibration::new(layers.values().map(mean).collect())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Sum>> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, input: ObservedInput<'_>) {
        let Some(layer) = input.weights.iter().find_map(|name| layer_of_keys(name)) else { return };
        let width = input.rows.width();
        let mut layers = self.lock();
        let sum = layers
            .entry(layer)
            .or_insert_with(|| Sum { products: DMatrix::zeros(width, width), rows: 0 });
        sum.add(input.rows);
    }
}

impl Sum {
    fn add(&mut self, rows: Rows<'_>) {
        // Rows of the step are columns here, as nalgebra stores them.
        let values = rows.data().iter().map(|&value| f64::from(value));
        let columns = DMatrix::from_iterator(rows.width(), rows.len(), values);
        self.products.gemm(1.0, &columns, &columns.transpose(), 1.0);
        self.rows += rows.len();
    }
}

/// The layer whose keys a weight makes.
fn layer_of_keys(weight: &str) -> Option<usize> {
    weight.strip_prefix("blk.")?.strip_suffix(".attn_k.weight")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(observe: &mut InputObserver, weights: &[&str], values: &[f32]) {
        observe(ObservedInput { weights, part: 0, rows: Rows::new(values, 2) });
    }

    #[test]
    fn means_are_of_the_inputs_of_keys_by_layer() {
        let collector = AttentionCollector::default();
        let mut observe = collector.observer();
        let keys = ["blk.0.attn_q.weight", "blk.0.attn_k.weight"];
        show(&mut observe, &keys, &[1.0, 2.0, 3.0, -4.0]);
        show(&mut observe, &keys, &[0.0, 1.0]);
        show(&mut observe, &["blk.0.ffn_up.weight"], &[9.0, 9.0]);
        let calibration = collector.calibration().unwrap();
        let expected = DMatrix::from_row_slice(2, 2, &[10.0, -10.0, -10.0, 21.0]) / 3.0;
        assert!((calibration.moment(0) - expected).norm() < 1e-12);
    }

    #[test]
    fn layers_that_were_not_seen_are_told() {
        let collector = AttentionCollector::default();
        assert!(collector.calibration().unwrap_err().to_string().contains("attn_k"));
        show(&mut collector.observer(), &["blk.1.attn_k.weight"], &[1.0, 2.0]);
        assert!(collector.calibration().is_err());
    }
}
