//! The best exponent.

use edgeformer_models::checkpoint::Checkpoint;

use super::Round;
use super::sample::Sample;
use crate::calibration::Imatrix;
use crate::transform::edit::{columns, matrices, need};
use crate::transform::fold::Foldable;
use crate::{Error, Result};

/// Smallest root mean square of a channel, as a part of the largest: silent channels would have
/// scales of zero.
const SILENT: f32 = 1e-4;

/// What was found.
pub(super) struct Best {
    pub alpha: f32,
    pub before: f64,
    pub after: f64,
}

/// `E[x²]` of every channel, over all that read it; `None` of those that nothing passed. Nothing if
/// the importance matrix knows no reader.
pub(super) fn mean_squares(
    checkpoint: &Checkpoint,
    imatrix: &Imatrix,
    pair: &Foldable,
) -> Result<Option<Vec<Option<f32>>>> {
    let mut sums = vec![0.0f64; pair.channels];
    let mut counts = vec![0.0f64; pair.channels];
    for reader in &pair.readers {
        let tensor = need(checkpoint, &reader.weight)?;
        let (matrices, columns) = (matrices(tensor), columns(tensor));
        let Some(entry) = imatrix.for_weight(&reader.weight, matrices, columns)? else { continue };
        for (at, &sum) in entry.sums.iter().enumerate() {
            let channel = reader.channel(at / columns, columns, at % columns);
            sums[channel] += f64::from(sum);
            counts[channel] += f64::from(entry.counts[at / columns]);
        }
    }
    let mean = |(sum, count): (&f64, &f64)| (*count > 0.0).then(|| (sum / count) as f32);
    let squares: Vec<_> = sums.iter().zip(&counts).map(mean).collect();
    Ok(squares.iter().flatten().any(|&square| square > 0.0).then_some(squares))
}

/// The scales for an exponent; 1 where nothing was seen.
pub(super) fn scales(squares: &[Option<f32>], alpha: f32) -> Vec<f32> {
    let largest = squares.iter().flatten().fold(0.0, |a: f32, &b| a.max(b)).sqrt();
    let power = |square: f32| square.sqrt().max(largest * SILENT).powf(alpha);
    let powers = || squares.iter().flatten().map(|&square| power(square));
    let (least, most) = powers().fold((f32::MAX, 0.0f32), |(a, b), x| (a.min(x), b.max(x)));
    let middle = least.sqrt() * most.sqrt();
    squares.iter().map(|square| square.map_or(1.0, |square| power(square) / middle)).collect()
}

/// The exponent with the smallest error; of equals the smallest.
pub(super) fn best(
    samples: &[Sample],
    squares: &[Option<f32>],
    steps: usize,
    round: &Round<'_>,
) -> Result<Best> {
    let unchanged = vec![1.0; squares.len()];
    let before = error(samples, &unchanged, round)?;
    let mut best = Best { alpha: 0.0, before, after: before };
    for step in 1..=steps {
        let alpha = step as f32 / steps as f32;
        let after = error(samples, &scales(squares, alpha), round)?;
        if after < best.after {
            best = Best { alpha, before, after };
        }
    }
    Ok(best)
}

/// `Σ E[(x_j/s_j)²] (s_j w_j - round(s_j w_j))²`.
fn error(samples: &[Sample], scales: &[f32], round: &Round<'_>) -> Result<f64> {
    let mut sum = 0.0;
    for sample in samples {
        sum += sample.share * error_of(sample, scales, round)?;
    }
    Ok(sum)
}

fn error_of(sample: &Sample, scales: &[f32], round: &Round<'_>) -> Result<f64> {
    let columns = sample.importance.iter().zip(&sample.channels);
    let importance: Vec<f32> =
        columns.map(|(square, &channel)| square / scales[channel].powi(2)).collect();
    let mut scaled = sample.rows.clone();
    for row in scaled.chunks_exact_mut(sample.columns) {
        row.iter_mut().zip(&sample.channels).for_each(|(value, &at)| *value *= scales[at]);
    }
    let rounded = round(&sample.weight, &scaled, sample.columns, &importance)?;
    if rounded.len() != scaled.len() {
        let problem = format!("{} values were rounded to {}", scaled.len(), rounded.len());
        return Err(Error::tensor(&sample.weight, problem));
    }
    let square = |(at, (before, after)): (usize, (&f32, &f32))| {
        f64::from(importance[at % sample.columns]) * f64::from(before - after).powi(2)
    };
    Ok(scaled.iter().zip(&rounded).enumerate().map(square).sum())
}
