//! What queries have gathered.

use std::ops::Range;

use super::view::View;
use crate::kernels::Kernels;

/// What queries have gathered.
#[derive(Default)]
pub(crate) struct Sums {
    /// The largest score of each query.
    pub largest: Vec<f32>,
    /// The sum of each query's weights, which are powers of the score's distance to the largest.
    pub totals: Vec<f32>,
    /// The weighted sum of values of each query.
    pub values: Vec<f32>,
}

/// Of some queries, what they have gathered.
pub(crate) struct SumsMut<'a> {
    pub largest: &'a mut [f32],
    pub totals: &'a mut [f32],
    pub values: &'a mut [f32],
}

/// Scores that are kept: `stride` for each query, the first for position `base`.
pub(crate) struct Record<'a> {
    pub scores: &'a mut [f32],
    pub stride: usize,
    pub base: usize,
}

impl Sums {
    /// Forgets everything about the first `queries`.
    pub fn begin(&mut self, queries: usize, value_dim: usize) {
        self.largest[..queries].fill(f32::NEG_INFINITY);
        self.totals[..queries].fill(0.0);
        self.values[..queries * value_dim].fill(0.0);
    }

    /// The sums of the first `queries`.
    pub fn view(&mut self, queries: usize, value_dim: usize) -> SumsMut<'_> {
        SumsMut {
            largest: &mut self.largest[..queries],
            totals: &mut self.totals[..queries],
            values: &mut self.values[..queries * value_dim],
        }
    }

    /// The sums of all, `queries` by `queries`.
    pub fn chunks(&mut self, queries: usize, dim: usize) -> impl Iterator<Item = SumsMut<'_>> {
        let largest = self.largest.chunks_exact_mut(queries);
        let totals = self.totals.chunks_exact_mut(queries);
        let values = self.values.chunks_exact_mut(queries * dim);
        let parts = largest.zip(totals).zip(values);
        parts.map(|((largest, totals), values)| SumsMut { largest, totals, values })
    }

    /// Adds what the queries from `first` on got of the next split.
    pub fn fold(&mut self, kernels: &Kernels, first: usize, part: &SumsMut<'_>, value_dim: usize) {
        let parts = part.largest.iter().zip(&*part.totals);
        let parts = parts.zip(part.values.chunks_exact(value_dim)).enumerate();
        for (query, ((&theirs, &weights), sums)) in parts {
            if theirs == f32::NEG_INFINITY {
                continue;
            }
            let at = first + query;
            let values = &mut self.values[at * value_dim..][..value_dim];
            let (ours, total) = (self.largest[at], &mut self.totals[at]);
            let largest = ours.max(theirs);
            // A factor of one changes no bit, and of nothing there is nothing to shrink.
            if largest > ours && *total != 0.0 {
                let shrunk = (ours - largest).exp();
                *total *= shrunk;
                kernels.scale(values, shrunk);
            }
            let grown = if largest > theirs { (theirs - largest).exp() } else { 1.0 };
            *total += grown * weights;
            kernels.axpy_f32(grown, sums, values);
            self.largest[at] = largest;
        }
    }

    /// Makes weighted means of the sums of `queries`.
    pub fn finish(&mut self, kernels: &Kernels, queries: Range<usize>, value_dim: usize) {
        for query in queries {
            let values = &mut self.values[query * value_dim..][..value_dim];
            kernels.scale(values, 1.0 / self.totals[query]);
        }
    }
}

impl Record<'_> {
    /// Keeps the scores of a query from `position` on.
    pub fn keep(&mut self, query: usize, position: usize, scores: &[f32]) {
        let at = query * self.stride + position - self.base;
        self.scores[at..at + scores.len()].copy_from_slice(scores);
    }

    /// Turns the kept scores of a query into its attention on the positions of its window.
    pub fn weights(&mut self, kernels: &Kernels, sums: &Sums, query: usize, view: &View) -> &[f32] {
        let start = query * self.stride + view.from - self.base;
        let scores = &mut self.scores[start..start + view.to - view.from];
        kernels.exp_minus(scores, sums.largest[query]);
        kernels.scale(scores, 1.0 / sums.totals[query]);
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;

    /// Weighted means of all scores and values at once.
    fn mean(scores: &[f32], values: &[[f32; 2]]) -> [f64; 2] {
        let weights = scores.iter().map(|&score| f64::from(score).exp());
        let total: f64 = weights.clone().sum();
        [0, 1].map(|column| {
            let sum: f64 =
                weights.clone().zip(values).map(|(w, value)| w * f64::from(value[column])).sum();
            sum / total
        })
    }

    #[test]
    fn parts_add_up_to_the_softmax_of_all() {
        let scores: [&[f32]; 5] =
            [&[0.5, -1.0], &[], &[3.0, 2.0, -4.0], &[2.5], &[-30.0, 3.5, 3.5, 0.0]];
        let values: Vec<[f32; 2]> = (0..10).map(|i| [i as f32, 1.0 - (i * i) as f32]).collect();
        let kernels = Kernels::for_isa(Isa::best());
        let mut sums = Sums { largest: vec![0.0; 2], totals: vec![0.0; 2], values: vec![0.0; 4] };
        sums.begin(2, 2);
        let mut first = 0;
        for scores in scores {
            let values = &values[first..first + scores.len()];
            let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weights = scores.iter().map(|score| (score - largest).exp());
            let mut part = [0.0; 2];
            for (weight, value) in weights.clone().zip(values) {
                part.iter_mut().zip(value).for_each(|(sum, x)| *sum += weight * x);
            }
            let (mut largest, mut totals) = ([largest], [weights.sum()]);
            let part = SumsMut { largest: &mut largest, totals: &mut totals, values: &mut part };
            sums.fold(kernels, 1, &part, 2);
            first += scores.len();
        }
        sums.finish(kernels, 1..2, 2);
        let expected = mean(&scores.concat(), &values);
        for (got, expected) in sums.values[2..].iter().zip(expected) {
            assert!((f64::from(*got) - expected).abs() < 1e-5 * expected.abs(), "{got} {expected}");
        }
        assert_eq!(sums.values[..2], [0.0; 2], "the other query's are as they were");
    }
}
