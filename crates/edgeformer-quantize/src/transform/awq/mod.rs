//! Activation-aware scaling (AWQ, Lin et al., arXiv 2306.00978).
//!
//! A channel whose inputs are large deserves finer weights. Its columns are multiplied with a
//! scale before they are rounded, and what makes the channel is divided by it, so that its share
//! of the rounding error shrinks. Scales are `E[x²]^(α/2)` over the root of the product of the
//! largest and the smallest, and α is searched on a grid.
//!
//! What is minimised is `Σ E[(x_j/s_j)²] (s_j w_j - round(s_j w_j))²`, over samples of the rows of
//! the matrices that read the channels: the expected squared error of their outputs where channels
//! are uncorrelated. α = 0 leaves a model as it is and is always among the candidates, so no pair
//! gets worse by this measure.

mod sample;
mod search;

use edgeformer_models::checkpoint::Checkpoint;

use super::fold::{Foldable, foldables};
use super::scale::{fold_scales, scale_imatrix};
use crate::calibration::Imatrix;
use crate::{Error, Result};

use sample::Sample;
use search::{best, mean_squares, scales};

/// Rounds rows of a matrix to the format that it will have and gives the values of the result:
/// `round(name, rows, columns, importance)`, with the `E[x²]` of each column.
pub type Round<'a> = dyn Fn(&str, &[f32], usize, &[f32]) -> Result<Vec<f32>> + 'a;

/// How scales are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AwqOptions {
    /// Steps of α from 0 to 1: 20 tries 0, 0.05, … 1.
    pub steps: usize,
    /// Elements of a matrix, or of a stack of them, that are tried: evenly spaced rows. All if it
    /// has no more.
    pub sample: usize,
}

impl Default for AwqOptions {
    fn default() -> Self {
        Self { steps: 20, sample: 1 << 19 }
    }
}

/// What the search found for one pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaled {
    /// The tensor that makes the channels.
    pub source: String,
    /// The matrices that read them.
    pub readers: Vec<String>,
    /// The best exponent; 0 where nothing was changed.
    pub alpha: f32,
    /// The weighted squared error without scales.
    pub before: f64,
    /// The same with them.
    pub after: f64,
}

/// Scales every pair of `checkpoint` that `imatrix` knows the inputs of, and makes `imatrix` that
/// of the result. What was changed is in f32.
///
/// # Errors
/// If the architecture is unknown, the importance matrix is another model's, or `round` fails.
pub fn awq(
    checkpoint: &mut Checkpoint,
    imatrix: &mut Imatrix,
    options: &AwqOptions,
    round: &Round<'_>,
) -> Result<Vec<Scaled>> {
    if options.steps == 0 || options.sample == 0 {
        return Err(Error::Request("AWQ needs at least 1 step and 1 sampled element".into()));
    }
    let mut found = Vec::new();
    for pair in foldables(checkpoint)? {
        let Some(squares) = mean_squares(checkpoint, imatrix, &pair)? else { continue };
        let samples = samples(checkpoint, imatrix, &pair, &squares, options.sample)?;
        checkpoint.release();
        let best = best(&samples, &squares, options.steps, round)?;
        if best.alpha > 0.0 {
            let scales = scales(&squares, best.alpha);
            fold_scales(checkpoint, &pair, &scales)?;
            scale_imatrix(imatrix, &pair, &scales)?;
        }
        found.push(Scaled {
            source: pair.name().to_owned(),
            readers: pair.readers.iter().map(|reader| reader.weight.clone()).collect(),
            alpha: best.alpha,
            before: best.before,
            after: best.after,
        });
    }
    Ok(found)
}

fn samples(
    checkpoint: &Checkpoint,
    imatrix: &Imatrix,
    pair: &Foldable,
    squares: &[Option<f32>],
    elements: usize,
) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for reader in &pair.readers {
        let entry = imatrix.entries.get(&reader.weight);
        samples.extend(Sample::of(checkpoint, reader, entry, squares, elements)?);
    }
    Ok(samples)
}

#[cfg(test)]
mod tests;
