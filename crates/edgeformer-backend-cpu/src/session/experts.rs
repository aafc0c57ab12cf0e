//! Mixtures of experts: each expert's matrices are read once a step, for all rows that picked it.

use edgeformer_core::graph::{Activation, ExpertGroups, Scoring, Value};
use edgeformer_core::{Rows, RowsMut};

use super::linear::{Inputs, gated, multiply, quantize};
use super::observe;
use super::run::Executor;
use super::scratch::ExpertScratch;
use crate::kernels::Kernels;
use crate::program::{Expert, Experts};

/// Keeps the sum of the picked weights away from zero, as the reference does.
const TINY: f32 = 1e-20;

impl Executor<'_> {
    pub(super) fn experts(&mut self, experts: &Experts, input: Value, output: Value) {
        let mut lent = self.memory.take(output);
        let out = lent.data();
        out.fill(0.0);
        self.route(experts, input);
        let (count, width) = (self.memory.count(input), self.memory.width(input));
        group_by_expert(
            experts.experts.len(),
            count * experts.spec.top_k,
            &mut self.scratch.experts,
        );

        // In the order of experts: a row's sum has one order whatever its companions pick.
        for expert in 0..experts.experts.len() {
            let starts = &self.scratch.experts.starts;
            let picked = starts[expert] as usize..starts[expert + 1] as usize;
            if picked.is_empty() {
                continue;
            }
            self.gather(input, picked.clone(), experts.spec.top_k);
            self.run_expert(experts, expert, picked.len(), width);
            let scratch = &self.scratch.experts;
            for (row, result) in picked.zip(scratch.output.chunks_exact(width)) {
                let pick = scratch.order[row] as usize;
                let sum = &mut out[pick / experts.spec.top_k * width..][..width];
                self.kernels.axpy_f32(scratch.picks[pick].1, result, sum);
            }
        }
        self.memory.put_back(output, lent);
    }

    /// Fills the picks of every row.
    fn route(&mut self, experts: &Experts, input: Value) {
        let (spec, count) = (&experts.spec, self.memory.count(input));
        let x = self.memory.read(input);
        let scores = &mut self.scratch.experts.scores[..count * spec.count];
        let quantized = &mut self.scratch.quantized;
        if experts.router.wants_q8() {
            quantize(self.pool, self.kernels, x, quantized);
        }
        let out = RowsMut::new(scores, spec.count);
        let x = Inputs { kernels: self.kernels, x, q8: quantized.view() };
        multiply(self.pool, &experts.router, &x, out);
        let scores = self.scratch.experts.scores[..count * spec.count].chunks_exact_mut(spec.count);
        let picks = self.scratch.experts.picks.chunks_exact_mut(spec.top_k);
        let kept = &mut self.scratch.experts.kept;
        for (scores, picks) in scores.zip(picks) {
            pick(self.kernels, experts, scores, kept, picks);
        }
    }

    /// Puts the rows that picked an expert one below the other.
    fn gather(&mut self, input: Value, picked: std::ops::Range<usize>, top_k: usize) {
        let x = self.memory.read(input);
        let ExpertScratch { input, order, .. } = &mut self.scratch.experts;
        for (&pick, row) in order[picked].iter().zip(input.chunks_exact_mut(x.width())) {
            row.copy_from_slice(x.row(pick as usize / top_k));
        }
    }

    /// `down(activation(gate x) * (up x))` of the gathered rows.
    fn run_expert(&mut self, experts: &Experts, index: usize, rows: usize, width: usize) {
        let (kernels, pool, graph) = (self.kernels, self.pool, &self.program.model.graph);
        let Expert { inner: pair, down } = &experts.experts[index];
        let inner = experts.spec.width;
        let quantized = &mut self.scratch.quantized;
        let ExpertScratch { input, output, gate, up, .. } = &mut self.scratch.experts;
        let x = Rows::new(&input[..rows * width], width);
        if let Some(observer) = &mut self.observer {
            observe::expert_input(graph, &experts.spec, index, x, observer);
        }
        if pair.wants_q8() {
            quantize(pool, kernels, x, quantized);
        }
        let (hidden, room) = (&mut gate[..rows * inner], &mut up[..rows * inner]);
        gated(pool, pair, &Inputs { kernels, x, q8: quantized.view() }, hidden, room);

        let x = Rows::new(hidden, inner);
        if let Some(observer) = &mut self.observer {
            observe::expert_hidden(graph, &experts.spec, index, x, observer);
        }
        if down.wants_q8() {
            quantize(pool, kernels, x, quantized);
        }
        let out = RowsMut::new(&mut output[..rows * width], width);
        multiply(pool, down, &Inputs { kernels, x, q8: quantized.view() }, out);
    }
}

/// Sorts the picks by expert, keeping the order of rows.
fn group_by_expert(experts: usize, picks: usize, scratch: &mut ExpertScratch) {
    let ExpertScratch { picks: all, order, starts, .. } = scratch;
    let picks = &all[..picks];
    starts[..=experts].fill(0);
    for (expert, _) in picks {
        starts[*expert as usize + 1] += 1;
    }
    for expert in 0..experts {
        starts[expert + 1] += starts[expert];
    }
    // Each start moves to its end, which is the next one's start: then all move back by one.
    for (pick, (expert, _)) in picks.iter().enumerate() {
        let at = &mut starts[*expert as usize];
        order[*at as usize] = pick as u32;
        *at += 1;
    }
    starts.copy_within(..experts, 1);
    starts[0] = 0;
}

/// Picks the experts of one row and weighs them. `scores` are the router's, and are used up.
fn pick(
    kernels: &Kernels,
    experts: &Experts,
    scores: &mut [f32],
    kept: &mut [u32],
    picks: &mut [(u32, f32)],
) {
    let spec = &experts.spec;
    match spec.scoring {
        Scoring::Softmax => kernels.softmax(scores),
        Scoring::Sigmoid => kernels.activate(Activation::Sigmoid, scores),
    }
    let bias = experts.selection_bias.as_deref();
    let chosen_by = |expert: usize| scores[expert] + bias.map_or(0.0, |bias| bias[expert]);
    let groups = spec.groups.unwrap_or(ExpertGroups { count: 1, top: 1, scored_by: 1 });
    let size = spec.count / groups.count;
    keep_groups(&groups, size, kept, chosen_by);
    for slot in 0..picks.len() {
        let taken = &picks[..slot];
        let free = |&expert: &usize| {
            kept[expert / size] == 1 && taken.iter().all(|(other, _)| *other as usize != expert)
        };
        let best = best_of((0..spec.count).filter(free), chosen_by);
        picks[slot] = (best as u32, scores[best]);
    }
    let sum = match spec.normalise {
        true => picks.iter().map(|(_, weight)| weight).sum::<f32>() + TINY,
        false => 1.0,
    };
    picks.iter_mut().for_each(|(_, weight)| *weight = *weight / sum * spec.scale);
}

/// Marks the best groups: a group stays if fewer than `top` are better, or equal and earlier.
fn keep_groups(
    groups: &ExpertGroups,
    size: usize,
    kept: &mut [u32],
    score: impl Fn(usize) -> f32 + Copy,
) {
    if groups.top == groups.count {
        return kept[..groups.count].fill(1);
    }
    kept[..groups.count].fill(0);
    for _ in 0..groups.top {
        let rest = (0..groups.count).filter(|&group| kept[group] == 0);
        let best = best_of(rest, |group| group_score(groups, size, group, score));
        kept[best] = 1;
    }
}

/// The candidate with the highest score, the first of equals; NaN is lowest.
fn best_of(candidates: impl Iterator<Item = usize>, score: impl Fn(usize) -> f32) -> usize {
    let mut best: Option<(usize, f32)> = None;
    for candidate in candidates {
        let score = score(candidate);
        let better = match best {
            None => true,
            Some((_, highest)) => score > highest || (highest.is_nan() && !score.is_nan()),
        };
        if better {
            best = Some((candidate, score));
        }
    }
    best.map_or(0, |(candidate, _)| candidate)
}

/// The sum of the best scores of a group.
fn group_score(
    groups: &ExpertGroups,
    size: usize,
    group: usize,
    score: impl Fn(usize) -> f32 + Copy,
) -> f32 {
    let members = group * size..(group + 1) * size;
    let mut sum = 0.0;
    let mut below = f32::INFINITY;
    let mut left = groups.scored_by;
    // Scores in descending order, equal ones together.
    while left > 0 {
        let next =
            members.clone().map(score).filter(|&s| s < below).fold(f32::NEG_INFINITY, f32::max);
        if next == f32::NEG_INFINITY {
            break;
        }
        let equal = members.clone().filter(|&member| score(member) == next).count().min(left);
        sum += next * equal as f32;
        left -= equal;
        below = next;
    }
    sum
}
