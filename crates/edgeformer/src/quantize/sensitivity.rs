//! What each tensor costs in each format.

use std::sync::Arc;

use bytes::Bytes;
use edgeformer_core::{Format, Tensor, Weight};
use edgeformer_quantize::allocate::Offer;
use edgeformer_quantize::job::{Options, round};

use super::Told;
use super::size::stored;
use crate::Result;
use crate::evaluate::{Divergence, Reader, Reference};

/// Formats that a tensor may get, those of 256 weights a block first where rows are long enough.
const LONG: [Format; 8] = [
    Format::Q2K,
    Format::Q3K,
    Format::Iq4Xs,
    Format::Q4K,
    Format::Q5K,
    Format::Q6K,
    Format::Q8_0,
    Format::F16,
];
/// The same for rows that are multiples of 32 alone.
const SHORT: [Format; 7] = [
    Format::Iq4Nl,
    Format::Q4_0,
    Format::Q4_1,
    Format::Q5_0,
    Format::Q5_1,
    Format::Q8_0,
    Format::F16,
];

/// What a tensor costs, by format.
#[derive(Debug, Clone)]
pub struct Sensitivity {
    /// The tensor.
    pub tensor: String,
    /// Divergence of the model when this tensor alone was in the probe's format, in nats a token.
    pub divergence: f64,
    /// The probe's format.
    pub probe: Format,
    /// What each format takes, and is estimated to cost: the divergence that was measured, times
    /// the squared error in that format over the probe's, for small errors cost their squares.
    pub offers: Vec<Offer>,
}

/// Formats that rows of this length can have.
pub(super) fn formats(columns: usize) -> &'static [Format] {
    match columns {
        _ if columns.is_multiple_of(256) => &LONG,
        _ if columns.is_multiple_of(32) => &SHORT,
        _ => &[Format::F16],
    }
}

/// Measures what the tensors named cost: each alone is quantized, coarsely, and the divergence of
/// the model from what it was is measured on the first `windows`.
///
/// # Errors
/// If a tensor cannot be quantized, or the backend refuses the changed model.
pub fn sensitivities(
    reference: &mut Reference<'_>,
    tensors: &[String],
    options: &Options<'_>,
    windows: usize,
    told: Told<'_>,
) -> Result<Vec<Sensitivity>> {
    let subject = reference.subject;
    let model = subject.model();
    let mut found = Vec::with_capacity(tensors.len());
    for (index, name) in tensors.iter().enumerate() {
        told.go_on()?;
        (told.progress)("measuring sensitivity", index as u64, tensors.len() as u64);
        let weight = model.weights.get(name)?;
        let trials = trials(name, weight, options)?;
        // The coarsest block format: its divergence stands out most from the noise of rounding.
        let Some(probe) = trials.iter().find(|trial| !trial.tensor.format().is_float()) else {
            found.push(unquantized(name, &trials)?);
            continue;
        };
        let mut changed = (**model).clone();
        changed.weights.insert(name.clone(), Weight::whole(probe.tensor.clone()));
        let candidate = subject.program_of(Arc::new(changed))?;
        let mut candidate = Reader::open(&candidate, &subject.session)?;
        let mut sum = Divergence::default();
        for index in 0..windows.min(reference.windows()) {
            sum.merge(&reference.diverge(&mut candidate, index)?);
        }
        let divergence = sum.kl.mean();
        let a_unit = if probe.error > 0.0 { divergence / probe.error } else { 0.0 };
        let offers = trials.iter().map(|trial| trial.offer(a_unit * trial.error));
        let offers = offers.collect::<Result<_>>()?;
        let probe = probe.tensor.format();
        found.push(Sensitivity { tensor: name.clone(), divergence, probe, offers });
    }
    Ok(found)
}

/// A tensor in one format.
struct Trial {
    tensor: Tensor,
    /// Sum of squared errors, weighed with the importance of their inputs.
    error: f64,
}

impl Trial {
    fn offer(&self, cost: f64) -> Result<Offer> {
        let bytes = stored(self.tensor.format(), self.tensor.shape())?;
        Ok(Offer { format: self.tensor.format(), bytes, cost })
    }
}

fn trials(name: &str, weight: &Weight, options: &Options<'_>) -> Result<Vec<Trial>> {
    let [source] = weight.parts() else { return Ok(Vec::new()) };
    let formats = formats(source.row_len()).iter();
    formats.map(|&format| trial(name, source, format, options)).collect()
}

fn trial(name: &str, source: &Tensor, format: Format, options: &Options<'_>) -> Result<Trial> {
    let mut bytes = Vec::with_capacity(format.tensor_bytes(source.shape())?);
    let mut error = 0.0;
    round(name, source, format, options, &mut |rounded| {
        bytes.extend_from_slice(rounded.bytes);
        error += rounded.squared_error();
        Ok(())
    })?;
    let tensor = Tensor::new(format, source.shape(), Bytes::from(bytes))?;
    Ok(Trial { tensor, error })
}

/// A tensor whose rows are no whole blocks of any format.
fn unquantized(name: &str, trials: &[Trial]) -> Result<Sensitivity> {
    let offers = trials.iter().map(|trial| trial.offer(0.0)).collect::<Result<_>>()?;
    Ok(Sensitivity { tensor: name.to_owned(), divergence: 0.0, probe: Format::F16, offers })
}
