use std::collections::BTreeMap;
use std::path::Path;

use edgeformer::quantize::Mixture;
use edgeformer_core::{Format, Tensor};
use edgeformer_models::checkpoint::Checkpoint;
use edgeformer_quantize::rounding::{InputStats, Method, Objective, round_matrix};
use serde::{Deserialize, Serialize};

use super::judge::Judge;
use crate::{Error, Result};

/// Mixtures that between them have every format of which errors are compared.
const MIXTURES: [Mixture; 7] = [
    Mixture::Q2K,
    Mixture::Q3KM,
    Mixture::Q4KM,
    Mixture::Q5KM,
    Mixture::Q6K,
    Mixture::Iq4Nl,
    Mixture::Iq4Xs,
];

/// Files that are compared: one a mixture.
pub(super) const COUNT: usize = MIXTURES.len();

/// Errors of the tensors of one format, over the files of all mixtures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FormatError {
    /// The format.
    pub format: Format,
    /// Tensors that were compared.
    pub tensors: usize,
    /// Those in which ours loses more.
    pub larger: usize,
    /// Sum of the squared errors, ours.
    pub ours: f64,
    /// llama.cpp's.
    pub theirs: f64,
}

impl Judge<'_> {
    /// Lays every block-quantized tensor of llama.cpp's files beside our `kquant` of it, neither
    /// with a text.
    pub(super) fn tensor_errors(
        &self,
        folder: &Path,
        told: &mut dyn FnMut(&str),
    ) -> Result<Vec<FormatError>> {
        let source = Checkpoint::open(&self.prepared.float)?;
        let mut errors: BTreeMap<&str, FormatError> = BTreeMap::new();
        let path = folder.join("theirs.gguf");
        for mixture in MIXTURES {
            told(&format!("tensors of {mixture}"));
            self.quantize_by_peer(&path, mixture, None)?;
            let file = Checkpoint::open(&path)?;
            for tensor in file.tensors.iter().filter(|tensor| !tensor.format().is_float()) {
                let before = source.tensor(tensor.name()).ok_or_else(|| {
                    Error::file(&path, format!("the model has no tensor {:?}", tensor.name()))
                })?;
                let (format, before, theirs) = (tensor.format(), before.load()?, tensor.load()?);
                let sum = errors.entry(format.name()).or_insert(FormatError::none(format));
                sum.add(self.our_error(&before, format)?, error(&before, &theirs));
            }
            drop(file);
            std::fs::remove_file(&path).map_err(|error| Error::file(&path, error))?;
        }
        Ok(errors.into_values().collect())
    }

    fn our_error(&self, before: &Tensor, format: Format) -> Result<f64> {
        let plain = Method::KQuant { objective: Objective::Error };
        let (values, columns) = (before.to_f32(), before.row_len());
        let stats = InputStats::default();
        let bytes = round_matrix(&values, columns, format, &plain, &stats, self.threads)
            .map_err(edgeformer::Error::from)?;
        Ok(error(before, &Tensor::new(format, before.shape(), bytes.into())?))
    }
}

impl FormatError {
    fn none(format: Format) -> Self {
        Self { format, tensors: 0, larger: 0, ours: 0.0, theirs: 0.0 }
    }

    /// What ours lose by what theirs do; nothing where neither loses anything.
    pub(super) fn ratio(&self) -> String {
        match (self.ours, self.theirs) {
            (0.0, 0.0) => String::new(),
            (ours, theirs) => format!("{:.3}x", ours / theirs),
        }
    }

    fn add(&mut self, ours: f64, theirs: f64) {
        self.tensors += 1;
        self.larger += usize::from(ours > theirs);
        self.ours += ours;
        self.theirs += theirs;
    }
}

/// The sum of the squared differences.
fn error(before: &Tensor, after: &Tensor) -> f64 {
    let pairs = before.to_f32().into_iter().zip(after.to_f32());
    pairs.map(|(before, after)| (f64::from(before) - f64::from(after)).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_errors_are_counted() {
        let mut sum = FormatError::none(Format::Q4K);
        assert_eq!(sum.ratio(), "");
        sum.add(1.0, 2.0);
        sum.add(2.0, 2.0);
        sum.add(2.5, 2.0);
        assert_eq!(sum.ratio(), "0.917x");
        assert_eq!((sum.tensors, sum.larger, sum.ours, sum.theirs), (3, 1, 5.5, 6.0));
        let before = Tensor::quantize(Format::F32, [1, 2], &[1.0, 2.0]).unwrap();
        let after = Tensor::quantize(Format::F32, [1, 2], &[1.5, 0.0]).unwrap();
        assert_eq!(error(&before, &after), 4.25);
    }
}
