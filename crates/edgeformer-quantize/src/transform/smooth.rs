//! Smoothing of activations (SmoothQuant, Xiao et al., arXiv 2211.10438).
//!
//! Where activations are rounded to 8 bits, one large channel takes the precision of all others.
//! Every channel is divided by `s_j = max|X_j|^a / max|W_j|^(1-a)` and the columns that read it are
//! multiplied with it: activations become smoother, weights a little rougher.

use edgeformer_models::checkpoint::Checkpoint;

use super::edit::{columns, matrices, need};
use super::fold::{Foldable, foldables};
use super::scale::{fold_scales, scale_imatrix};
use crate::calibration::Imatrix;
use crate::{Error, Result};

/// The paper's default for how much of the outliers moves to the weights.
pub const SMOOTH_ALPHA: f32 = 0.5;

/// What smoothing did to one pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Smoothed {
    /// The tensor that makes the channels.
    pub source: String,
    /// The matrices that read them.
    pub readers: Vec<String>,
    /// The largest |x| of all channels over the mean of each channel's largest.
    pub before: f32,
    /// The same afterwards.
    pub after: f32,
}

/// Smooths every pair of `checkpoint` whose largest inputs `imatrix` holds, and makes `imatrix`
/// that of the result. What was changed is in f32.
///
/// # Errors
/// If `alpha` is not from 0 to 1, the architecture is unknown, or the importance matrix is another
/// model's or has no largest values.
pub fn smooth(
    checkpoint: &mut Checkpoint,
    imatrix: &mut Imatrix,
    alpha: f32,
) -> Result<Vec<Smoothed>> {
    if !(0.0..=1.0).contains(&alpha) {
        return Err(Error::Request(format!("a smoothing of {alpha} is not from 0 to 1")));
    }
    if imatrix.entries.values().all(|entry| entry.largest.is_empty()) {
        let problem = "the importance matrix has no largest inputs, which smoothing needs: make one with edgeformer calibrate";
        return Err(Error::Request(problem.into()));
    }
    let mut found = Vec::new();
    for pair in foldables(checkpoint)? {
        let Some(inputs) = largest_inputs(checkpoint, imatrix, &pair)? else { continue };
        let weights = largest_weights(checkpoint, &pair)?;
        checkpoint.release();
        let scales: Vec<f32> =
            inputs.iter().zip(&weights).map(|(&x, &w)| scale(x, w, alpha)).collect();
        fold_scales(checkpoint, &pair, &scales)?;
        scale_imatrix(imatrix, &pair, &scales)?;
        let after: Vec<f32> = inputs.iter().zip(&scales).map(|(x, scale)| x / scale).collect();
        found.push(Smoothed {
            source: pair.name().to_owned(),
            readers: pair.readers.iter().map(|reader| reader.weight.clone()).collect(),
            before: roughness(&inputs),
            after: roughness(&after),
        });
    }
    Ok(found)
}

/// 1 for a channel that is never fed or never read.
fn scale(input: f32, weight: f32, alpha: f32) -> f32 {
    let scale = input.powf(alpha) / weight.powf(1.0 - alpha);
    let usable = input > 0.0 && weight > 0.0 && scale.is_normal();
    if usable { scale } else { 1.0 }
}

/// Largest |x| of every channel; nothing if the importance matrix knows no reader.
fn largest_inputs(
    checkpoint: &Checkpoint,
    imatrix: &Imatrix,
    pair: &Foldable,
) -> Result<Option<Vec<f32>>> {
    let mut largest = vec![0.0f32; pair.channels];
    for reader in &pair.readers {
        let tensor = need(checkpoint, &reader.weight)?;
        let (matrices, columns) = (matrices(tensor), columns(tensor));
        let Some(entry) = imatrix.for_weight(&reader.weight, matrices, columns)? else { continue };
        for (at, &x) in entry.largest.iter().enumerate() {
            let channel = reader.channel(at / columns, columns, at % columns);
            largest[channel] = largest[channel].max(x);
        }
    }
    Ok(largest.iter().any(|&x| x > 0.0).then_some(largest))
}

/// Largest |w| of every channel's columns.
fn largest_weights(checkpoint: &Checkpoint, pair: &Foldable) -> Result<Vec<f32>> {
    let mut largest = vec![0.0f32; pair.channels];
    for reader in &pair.readers {
        let tensor = need(checkpoint, &reader.weight)?;
        let (matrices, columns) = (matrices(tensor), columns(tensor));
        let rows = tensor.elements() / columns / matrices;
        for (row, values) in tensor.load()?.to_f32().chunks_exact(columns).enumerate() {
            for (column, value) in values.iter().enumerate() {
                let channel = reader.channel(row / rows, columns, column);
                largest[channel] = largest[channel].max(value.abs());
            }
        }
    }
    Ok(largest)
}

fn roughness(largest: &[f32]) -> f32 {
    let most = largest.iter().fold(0.0, |a: f32, &b| a.max(b));
    most / (largest.iter().sum::<f32>() / largest.len() as f32)
}
