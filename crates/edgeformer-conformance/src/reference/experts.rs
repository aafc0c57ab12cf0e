//! Mixtures of experts (arXiv 2401.06066), with DeepSeek's group-limited routing (arXiv 2405.04434,
//! section 2.2.2; arXiv 2412.19437, section 2.1.2).

use edgeformer_core::Result;
use edgeformer_core::graph::{ExpertGroups, Experts, Scoring};

use super::Evaluator;
use super::matrix::{Matrix, dot, softmax};
use super::rows::{activate, sigmoid};

impl Evaluator<'_> {
    pub(super) fn experts(&self, experts: &Experts, x: &Matrix) -> Result<Matrix> {
        let router = self.weight(experts.router)?;
        let bias = experts.selection_bias.map(|bias| self.weight(bias)).transpose()?;
        let bias = bias.map_or(vec![0.0; experts.count], |bias| bias.data().to_vec());
        let stacks = [experts.gate, experts.up, experts.down].map(|stack| self.weight(stack));
        let [gate, up, down] = stacks;
        let (gate, up, down) = (gate?, up?, down?);
        Ok(x.map_rows(|_, row| {
            let mut scores = router.times(row);
            match experts.scoring {
                Scoring::Softmax => softmax(&mut scores),
                Scoring::Sigmoid => scores.iter_mut().for_each(|score| *score = sigmoid(*score)),
            }
            let mut sum = vec![0.0; row.len()];
            for (expert, weight) in picked(experts, &scores, &bias) {
                let inner: Vec<f64> = (expert * experts.width..(expert + 1) * experts.width)
                    .map(|unit| {
                        activate(experts.activation, dot(gate.row(unit), row))
                            * dot(up.row(unit), row)
                    })
                    .collect();
                for (column, sum) in sum.iter_mut().enumerate() {
                    *sum += weight * dot(down.row(expert * row.len() + column), &inner);
                }
            }
            sum
        }))
    }
}

/// The experts that a row goes through, with their weights.
fn picked(experts: &Experts, scores: &[f64], bias: &[f64]) -> Vec<(usize, f64)> {
    let choice: Vec<f64> = scores.iter().zip(bias).map(|(score, bias)| score + bias).collect();
    let allowed = experts.groups.map_or((0..experts.count).collect(), |groups| {
        let size = experts.count / groups.count;
        let best = best_groups(groups, &choice);
        best.into_iter().flat_map(|group| group * size..(group + 1) * size).collect()
    });
    let picked = best(allowed, experts.top_k, |expert| choice[expert]);
    let sum: f64 = picked.iter().map(|&expert| scores[expert]).sum();
    let norm = if experts.normalise { sum } else { 1.0 };
    let weight = |expert: usize| scores[expert] / norm * f64::from(experts.scale);
    picked.into_iter().map(|expert| (expert, weight(expert))).collect()
}

fn best_groups(groups: ExpertGroups, choice: &[f64]) -> Vec<usize> {
    let size = choice.len() / groups.count;
    let score = |group: usize| {
        let mut members = choice[group * size..][..size].to_vec();
        members.sort_by(|a, b| b.total_cmp(a));
        members[..groups.scored_by].iter().sum()
    };
    best((0..groups.count).collect(), groups.top, score)
}

/// The `count` candidates of the highest score; of equals, those with the lower index.
fn best(mut candidates: Vec<usize>, count: usize, score: impl Fn(usize) -> f64) -> Vec<usize> {
    candidates.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
    candidates.truncate(count);
    candidates
}
