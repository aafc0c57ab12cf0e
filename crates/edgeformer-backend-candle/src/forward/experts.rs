//! Mixtures of experts (arXiv 2401.06066), with DeepSeek's group-limited routing (arXiv 2405.04434,
//! section 2.2.2; arXiv 2412.19437, section 2.1.2).

use candle_core::{D, DType, Tensor};
use edgeformer_core::graph::{ExpertGroups, Experts, Scoring};

use super::activation::{activate, sigmoid, softmax};
use super::evaluate::Evaluator;
use super::places::{Rows, below};
use crate::error::Result;

impl Evaluator<'_, '_> {
    pub(super) fn experts(&self, experts: &Experts, rows: &Rows) -> Result<Rows> {
        let (count, width) = rows.x.dims2()?;
        let scores = self.scores(experts, &rows.x)?;
        let picked = self.picked(experts, &scores)?;
        let weights = weigh(experts, &scores, &picked)?;

        // Places `row * top_k + rank`, sorted by the expert that they were given to.
        let mut order: Vec<u32> = (0..picked.len() as u32).collect();
        order.sort_by_key(|&place| picked[place as usize]);
        let x = rows.x.contiguous()?;
        let mut outputs = Vec::new();
        for places in order.chunk_by(|&a, &b| picked[a as usize] == picked[b as usize]) {
            let expert = picked[places[0] as usize] as usize;
            let rows = places.iter().map(|place| place / experts.top_k as u32).collect::<Vec<_>>();
            let rows = Tensor::from_vec(rows, places.len(), x.device())?;
            outputs.push(self.expert(experts, expert, &x.index_select(&rows, 0)?)?);
        }
        let mut back = vec![0u32; order.len()];
        for (from, &place) in order.iter().enumerate() {
            back[place as usize] = from as u32;
        }
        let back = Tensor::from_vec(back, order.len(), x.device())?;
        let outputs = below(&outputs)?.index_select(&back, 0)?;
        let outputs = outputs.reshape((count, experts.top_k, width))?;
        let weighed = outputs.broadcast_mul(&weights.unsqueeze(2)?)?;
        Ok(rows.with(weighed.sum(1)?))
    }

    /// `[rows, count]`: what the router says.
    fn scores(&self, experts: &Experts, x: &Tensor) -> Result<Tensor> {
        let logits = self.call.weights.product(x, experts.router)?;
        Ok(match experts.scoring {
            Scoring::Softmax => softmax(&logits)?,
            Scoring::Sigmoid => sigmoid(&logits)?,
        })
    }

    /// The experts of each row, the best first, `top_k` a row.
    fn picked(&self, experts: &Experts, scores: &Tensor) -> Result<Vec<u32>> {
        let choice = match experts.selection_bias {
            Some(bias) => scores.broadcast_add(&self.call.weights.dense(bias)?)?,
            None => scores.clone(),
        };
        let choice = choice.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        Ok(choice.iter().flat_map(|choice| pick(experts, choice)).collect())
    }

    /// `down(activation(gate x) * (up x))`.
    fn expert(&self, experts: &Experts, index: usize, x: &Tensor) -> Result<Tensor> {
        let weights = self.call.weights;
        let gate = weights.expert(experts.gate, index)?.product(x)?;
        let up = weights.expert(experts.up, index)?.product(x)?;
        let inner = activate(experts.activation, &gate)?.mul(&up)?;
        weights.expert(experts.down, index)?.product(&inner)
    }
}

/// `[rows, top_k]`: what the outputs of the picked experts are multiplied with.
fn weigh(experts: &Experts, scores: &Tensor, picked: &[u32]) -> Result<Tensor> {
    let shape = (picked.len() / experts.top_k, experts.top_k);
    let picked = Tensor::from_slice(picked, shape, scores.device())?;
    let mut weights = scores.contiguous()?.gather(&picked, 1)?;
    if experts.normalise {
        weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
    }
    Ok(weights.affine(f64::from(experts.scale), 0.0)?)
}

/// The experts that a row goes through.
fn pick(experts: &Experts, choice: &[f32]) -> Vec<u32> {
    let allowed = match experts.groups {
        None => (0..choice.len()).collect(),
        Some(groups) => members(groups, choice),
    };
    let picked = best(allowed, experts.top_k, |expert| choice[expert]);
    picked.into_iter().map(|expert| expert as u32).collect()
}

/// The experts of the best groups.
fn members(groups: ExpertGroups, choice: &[f32]) -> Vec<usize> {
    let size = choice.len() / groups.count;
    let score = |group: usize| {
        let mut members = choice[group * size..][..size].to_vec();
        members.sort_by(|a, b| b.total_cmp(a));
        members[..groups.scored_by].iter().sum()
    };
    let best = best((0..groups.count).collect(), groups.top, score);
    best.into_iter().flat_map(|group| group * size..(group + 1) * size).collect()
}

/// The `count` candidates of the highest score; of equals, those with the lower index.
fn best(mut candidates: Vec<usize>, count: usize, score: impl Fn(usize) -> f32) -> Vec<usize> {
    candidates.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
    candidates.truncate(count);
    candidates
}
