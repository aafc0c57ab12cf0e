//! What every layer of the converted model has in common: its widths, and which components keep
//! their rotation.

use nalgebra::Complex;

use super::{LatentNorm, MlaOptions, Weighting};
use crate::attention::AttentionCalibration;
use crate::attention::components::{Components, Moments, components};
use crate::attention::linear::Matrix;
use crate::attention::source::Source;
use crate::{Error, Result};

/// The shape of the conversion.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// For each frequency, how many of its components keep their rotation.
    pub kept: Vec<usize>,
    /// For each frequency, its rotation averaged over distances.
    pub mean_rotation: Vec<Complex<f64>>,
    /// Divisors that give the rotated columns their frequencies; `None` where the usual series
    /// does.
    pub divisors: Option<Vec<f32>>,
    pub rope_dims: usize,
    /// Width of the part of a query without position.
    pub nope_dim: usize,
    /// Rows of keys without position, over all heads.
    pub nope_rows: usize,
    pub rank: usize,
    /// What queries' rotated columns are multiplied with: sines and cosines were, twice.
    pub rotated_scale: f64,
}

/// Distances beyond these are rare.
const FARTHEST: usize = 4096;

impl Plan {
    pub fn of(
        source: &Source,
        options: &MlaOptions,
        calibration: Option<&AttentionCalibration>,
    ) -> Result<Self> {
        let (frequencies, attention_factor) = source.rotation()?;
        let (pairs, heads) = (source.pairs.len(), source.kv_heads);
        let rope_dims = rope_dims(source, options)?;
        let distances = source.context.min(FARTHEST);
        let mean_rotation: Vec<_> =
            frequencies.iter().map(|&frequency| mean_rotation(frequency, distances)).collect();
        let kept = if options.norm == LatentNorm::Portable {
            usual_frequencies(source, rope_dims)?
        } else if rope_dims == 2 * pairs * heads {
            vec![heads; pairs]
        } else {
            let costs = costs(source, options, calibration, &mean_rotation)?;
            spread_and_dearest(&costs, rope_dims / 2)
        };
        let left: Vec<usize> = kept.iter().map(|&kept| heads - kept).collect();
        let nope_rows = 2 * left.iter().sum::<usize>() + heads * source.rest.len();
        let nope_dim = 2 * left.iter().filter(|&&left| left > 0).count() + source.rest.len();
        let chosen =
            kept.iter().zip(&frequencies).flat_map(|(&kept, &frequency)| vec![frequency; kept]);
        let divisors = divisors(source.rope_base(), &chosen.collect::<Vec<_>>());
        Ok(Self {
            kept,
            mean_rotation,
            divisors,
            rope_dims,
            // Readers expect some columns without position; a column of zeros changes nothing.
            nope_dim: nope_dim.max(1),
            nope_rows,
            rank: rank(source, options, nope_rows)?,
            rotated_scale: attention_factor * attention_factor,
        })
    }
}

/// The moment that weighs a layer: that of its inputs, or none.
pub(super) fn moment(
    source: &Source,
    weighting: Weighting,
    calibration: Option<&AttentionCalibration>,
    layer: usize,
) -> Result<Matrix> {
    match weighting {
        Weighting::Plain => Ok(Matrix::identity(source.width + 1, source.width + 1)),
        Weighting::Inputs => source.moment(layer, calibration),
    }
}

fn rope_dims(source: &Source, options: &MlaOptions) -> Result<usize> {
    let head = 2 * source.pairs.len();
    let all = head * source.kv_heads;
    let default =
        if options.rank.is_none() && options.norm == LatentNorm::Exact { all } else { head };
    match options.rope_dims.unwrap_or(default) {
        dims if dims == 0 || !dims.is_multiple_of(2) || dims > all => Err(Error::Request(format!(
            "{dims} rotated columns: an even number from 2 to {all} ({head} for each of {} key heads) is possible",
            source.kv_heads
        ))),
        dims => Ok(dims),
    }
}

fn rank(source: &Source, options: &MlaOptions, nope_rows: usize) -> Result<usize> {
    let full = (nope_rows + source.kv_heads * source.value_dim).min(source.width);
    match options.rank.unwrap_or(full) {
        rank if rank == 0 || rank > full => Err(Error::Request(format!(
            "rank {rank}: from 1 to {full} is possible, which is all of the keys and values"
        ))),
        rank => Ok(rank),
    }
}

/// One component of evenly spaced frequencies, which are those of a rotary embedding of that width
/// without divisors.
fn usual_frequencies(source: &Source, rope_dims: usize) -> Result<Vec<usize>> {
    let head = 2 * source.pairs.len();
    if !head.is_multiple_of(rope_dims) {
        return Err(Error::Request(format!(
            "{rope_dims} rotated columns do not divide the {head} of a head: other runtimes know no other frequencies; ask for an exact norm, or other columns"
        )));
    }
    let step = head / rope_dims;
    Ok((0..source.pairs.len()).map(|pair| usize::from(pair % step == 0)).collect())
}

/// The rotation by `-θΔ` averaged over distances `Δ`, near ones counting for more as attention
/// falls: each with weight `(1 + Δ)^-2`. On the small language model of the tests exponents from
/// 1.5 to 2.5 differ little, and 1 or no mean at all (`a` = 1) lose more.
fn mean_rotation(frequency: f64, distances: usize) -> Complex<f64> {
    let (mut sum, mut weights) = (Complex::new(0.0, 0.0), 0.0);
    for distance in 0..distances {
        let weight = (1.0 + distance as f64).powi(-2);
        sum += Complex::cis(-frequency * distance as f64) * weight;
        weights += weight;
    }
    sum / weights
}

/// For each frequency and component, the squared error of scores if its mean stood for its
/// rotation, over all layers.
fn costs(
    source: &Source,
    options: &MlaOptions,
    calibration: Option<&AttentionCalibration>,
    mean_rotation: &[Complex<f64>],
) -> Result<Vec<Vec<f64>>> {
    let members: Vec<usize> = (0..source.kv_heads).collect();
    let mut costs = vec![vec![0.0; source.kv_heads]; source.pairs.len()];
    for layer in 0..source.layers {
        let moment = moment(source, options.weighting, calibration, layer)?;
        let moments = Moments::of(source, &source.projections(layer)?, &moment);
        let found = components(source, &moments, &members);
        for ((costs, Components { energy, .. }), mean) in
            costs.iter_mut().zip(&found).zip(mean_rotation)
        {
            let lost = 1.0 - mean.norm_sqr();
            costs.iter_mut().zip(energy).for_each(|(cost, energy)| *cost += energy * lost);
        }
    }
    Ok(costs)
}

/// How many components of each frequency are kept, `count` in all: of every frequency the first,
/// or of as many as there are places, evenly spaced (without its slow rotations a model loses its
/// way over long distances, whatever they cost on average); then the dearest of the others.
fn spread_and_dearest(costs: &[Vec<f64>], count: usize) -> Vec<usize> {
    let pairs = costs.len();
    let spread = count.min(pairs);
    let mut kept = vec![0; pairs];
    (0..spread).for_each(|place| kept[place * pairs / spread] = 1);
    let mut others: Vec<(f64, usize)> = Vec::new();
    for (pair, costs) in costs.iter().enumerate() {
        others.extend(costs[1..].iter().map(|&cost| (cost, pair)));
    }
    others.sort_by(|a, b| b.0.total_cmp(&a.0));
    others.iter().take(count - spread).for_each(|&(_, pair)| kept[pair] += 1);
    kept
}

/// What divides the usual series of frequencies into these; `None` if they are the series.
fn divisors(base: f64, frequencies: &[f64]) -> Option<Vec<f32>> {
    let dims = 2.0 * frequencies.len() as f64;
    let usual = |pair: usize| base.powf(-2.0 * pair as f64 / dims);
    let divisors = frequencies.iter().enumerate().map(|(pair, frequency)| usual(pair) / frequency);
    let divisors: Vec<f32> = divisors.map(|divisor| divisor as f32).collect();
    divisors.iter().any(|divisor| (divisor - 1.0).abs() > 1e-5).then_some(divisors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_rotations_average_to_one_and_fast_ones_fade() {
        assert!((mean_rotation(1e-6, 512) - Complex::new(1.0, 0.0)).norm() < 1e-3);
        let norms = [1.0, 0.1, 0.01].map(|frequency| mean_rotation(frequency, 4096).norm());
        assert!(norms.is_sorted() && norms[0] < 0.8);
    }

    #[test]
    fn every_frequency_is_kept_once_before_the_dearest_are_kept_again() {
        let costs = [vec![9.0, 1.0], vec![5.0, 4.0], vec![0.5, 0.1], vec![0.2, 0.1]];
        assert_eq!(spread_and_dearest(&costs, 5), [1, 2, 1, 1]);
        assert_eq!(spread_and_dearest(&costs, 4), [1, 1, 1, 1]);
        assert_eq!(spread_and_dearest(&costs, 2), [1, 0, 1, 0]);
        assert_eq!(spread_and_dearest(&costs, 8), [2, 2, 2, 2]);
    }

    #[test]
    fn repeated_frequencies_need_divisors_and_the_series_does_not() {
        assert_eq!(divisors(10_000.0, &[1.0, 0.01]), None);
        let divisors = divisors(10_000.0, &[1.0, 1.0]).unwrap();
        assert!((divisors[1] - 0.01).abs() < 1e-6);
    }
}
