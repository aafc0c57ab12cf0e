//! What evaluation and its gradients take besides weights, from shapes alone.
//!
//! Candle keeps the output of every operation that leads from a weight that learns to the loss until
//! all gradients are found; a gradient that is added to takes three times its size for that moment
//! (zeros, what is added, the sum: candle-core's `backprop.rs`). This follows the graph forward and back
//! as the ops of this folder do, and is compared with what an allocator counts
//! (`edgeformer-train/tests/memory.rs`).

use std::ops::Range;

use edgeformer_core::Graph;
use edgeformer_core::graph::{Node, NormKind, Op, RowKind, WeightId};

use super::checkpoint::segments_of;

/// Bytes of an activation.
const F32: u64 = 4;
/// What an op that composes a softmax of scores keeps of them: scores, differences, powers, weights.
const SCORES_KEPT: u64 = 4;
/// Queries whose scores an attention has at a time.
const TILE: u64 = 128;

/// A share of a batch, and what is learned of it.
#[derive(Clone, Copy)]
pub struct GradientLoad<'a> {
    /// Tokens of all sequences.
    pub tokens: usize,
    /// Sequences.
    pub sequences: usize,
    /// Tokens of the longest.
    pub longest: usize,
    /// Rows of the output that have something to learn.
    pub output_rows: usize,
    /// Which weights learn, by their order in the graph.
    pub learns: &'a [bool],
    /// Whether the inputs of products with a weight are partly left out.
    pub drops: &'a [bool],
    /// Whether activations are computed again backward.
    pub checkpointing: bool,
}

impl std::fmt::Debug for GradientLoad<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GradientLoad")
            .field("tokens", &self.tokens)
            .field("sequences", &self.sequences)
            .field("output_rows", &self.output_rows)
            .field("checkpointing", &self.checkpointing)
            .finish_non_exhaustive()
    }
}

/// What the gradients of one share of a batch take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GradientBytes {
    /// Activations that are kept until gradients are found; with checkpointing what goes from segment
    /// to segment, and the largest of them.
    pub activations: u64,
    /// The most that there is at a time: activations, gradients of weights as far as they are found,
    /// gradients of activations.
    pub peak: u64,
}

/// What the gradients of one share of a batch take.
///
/// # Panics
/// If `load` tells of fewer weights than the graph has.
pub fn gradient_bytes(graph: &Graph, load: &GradientLoad<'_>) -> GradientBytes {
    let walk = Walk::new(graph, load);
    let segments = match load.checkpointing {
        true => segments_of(graph),
        false => std::iter::once(0..graph.nodes.len()).collect(),
    };
    let between: u64 = segments.iter().skip(1).map(|nodes| walk.alive_before(nodes.start)).sum();
    let (mut found, mut peak, mut kept) = (0, 0, 0);
    for nodes in segments.iter().rev() {
        let segment = walk.segment(nodes.clone(), &mut found);
        peak = peak.max(segment.peak);
        kept = kept.max(segment.activations);
    }
    GradientBytes { activations: between + kept, peak: between + peak }
}

struct Walk<'a> {
    graph: &'a Graph,
    load: &'a GradientLoad<'a>,
    /// Bytes of every value.
    sizes: Vec<u64>,
    /// Whether a value depends on a weight that learns.
    tracked: Vec<bool>,
    last_use: Vec<usize>,
}

impl<'a> Walk<'a> {
    fn new(graph: &'a Graph, load: &'a GradientLoad<'a>) -> Self {
        let mixes = graph.nodes.iter().rposition(|node| node.op.mixes_rows());
        let mut tracked = vec![false; graph.values.len()];
        let mut last_use = vec![0; graph.values.len()];
        let mut behind = vec![mixes.is_none(); graph.values.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            let learns = node.op.weights().iter().any(|id| load.learns[id.index()]);
            let reads = node.inputs.iter().any(|value| tracked[value.index()]);
            for value in &node.outputs {
                tracked[value.index()] = learns || reads;
                behind[value.index()] = mixes.is_some_and(|mixes| index >= mixes);
            }
            node.inputs.iter().for_each(|value| last_use[value.index()] = index);
        }
        last_use[graph.output.value.index()] = usize::MAX;
        let rows = |kind: RowKind, behind: bool| match kind {
            RowKind::Token if behind => load.output_rows,
            RowKind::Token => load.tokens,
            RowKind::Patch(count) => count * load.sequences,
            RowKind::Sequence => load.sequences,
        };
        let sizes = graph.values.iter().zip(behind);
        let sizes =
            sizes.map(|(value, behind)| (rows(value.rows, behind) * value.width) as u64 * F32);
        Self { graph, load, sizes: sizes.collect(), tracked, last_use }
    }

    fn made(&self, node: &Node) -> u64 {
        node.outputs.iter().map(|value| self.sizes[value.index()]).sum()
    }

    fn read(&self, node: &Node) -> u64 {
        node.inputs.iter().map(|value| self.sizes[value.index()]).sum()
    }

    /// Values that are alive before a node.
    fn alive_at(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        let made = self.graph.nodes[..node].iter().flat_map(|one| &one.outputs);
        made.map(|value| value.index()).filter(move |&value| self.last_use[value] >= node)
    }

    fn alive_before(&self, node: usize) -> u64 {
        self.alive_at(node).map(|value| self.sizes[value]).sum()
    }

    /// What some nodes keep, and the most that there is while their gradients are found; `found` are
    /// those of weights.
    fn segment(&self, nodes: Range<usize>, found: &mut u64) -> GradientBytes {
        let inputs = self.alive_before(nodes.start);
        let all = &self.graph.nodes[nodes.clone()];
        let kept: u64 = all.iter().map(|node| self.kept(node)).sum();
        // Variables are copies of what came from the segment before.
        let kept = if nodes.start > 0 { kept + inputs } else { kept };
        let is_last = nodes.end == self.graph.nodes.len();
        let mut peak = kept + if is_last { self.loss() } else { 0 };
        peak = peak
            .max(all.iter().map(|node| self.read(node) + 2 * self.made(node)).max().unwrap_or(0));
        // Gradients of values that were found and not yet passed on.
        let mut pending = vec![0; self.sizes.len()];
        for value in self.alive_at(nodes.end) {
            pending[value] = self.sizes[value];
        }
        for node in all.iter().rev().filter(|node| self.is_tracked(node)) {
            let waiting: u64 = pending.iter().sum();
            peak = peak.max(kept + *found + waiting + self.transient(node));
            *found += self.learning(node);
            node.outputs.iter().for_each(|value| pending[value.index()] = 0);
            // Candle's gradients of a product keep what they are made of until they are passed on.
            let held = if matches!(node.op, Op::Multiply) { 3 } else { 1 };
            for value in node.inputs.iter().filter(|value| self.tracked[value.index()]) {
                pending[value.index()] = held * self.sizes[value.index()];
            }
        }
        GradientBytes { activations: kept, peak: peak.max(kept + *found) }
    }

    fn is_tracked(&self, node: &Node) -> bool {
        node.outputs.iter().any(|value| self.tracked[value.index()])
    }

    /// What the loss takes beside the output: its gradient, three times while it is added.
    fn loss(&self) -> u64 {
        3 * self.sizes[self.graph.output.value.index()]
    }

    fn elements(&self, id: WeightId) -> u64 {
        self.graph.weight(id).shape.iter().product::<usize>() as u64 * F32
    }

    /// Gradients of weights that a node finds. One that several nodes use is counted once, where it is
    /// found first.
    fn learning(&self, node: &Node) -> u64 {
        let users =
            |id: WeightId| self.graph.nodes.iter().rev().find(|one| one.op.weights().contains(&id));
        let first = |id: &WeightId| users(*id).is_some_and(|one| std::ptr::eq(one, node));
        let ids = node.op.weights();
        let learning = ids.iter().filter(|id| self.load.learns[id.index()] && first(id));
        learning.map(|&id| self.elements(id)).sum()
    }

    /// What gradients of a node's inputs and weights take while they are added.
    fn transient(&self, node: &Node) -> u64 {
        let of_inputs = self.read(node);
        let largest = node.inputs.iter().map(|value| self.sizes[value.index()]).max().unwrap_or(0);
        let learning = node.op.weights().into_iter().filter(|id| self.load.learns[id.index()]);
        // Products put theirs aside: nothing is added to.
        let aside = matches!(node.op, Op::Linear { .. });
        let matrix = learning.filter(|_| !aside).map(|id| self.elements(id)).max().unwrap_or(0);
        let scores = match &node.op {
            Op::Attention(attention) => self.scores(attention.kv_heads as u64) * 3,
            _ => 0,
        };
        let held = if matches!(node.op, Op::Multiply) { 2 * (of_inputs - largest) } else { 0 };
        of_inputs + 2 * largest.max(matrix) + matrix + scores + held
    }

    /// Scores of a tile of queries.
    fn scores(&self, heads: u64) -> u64 {
        let longest = self.load.longest as u64;
        heads * TILE.min(longest) * longest * F32
    }

    /// What a node keeps for gradients.
    fn kept(&self, node: &Node) -> u64 {
        if !self.is_tracked(node) {
            return 0;
        }
        let (made, read) = (self.made(node), self.read(node));
        // What did not have to be kept otherwise.
        let untracked = node.inputs.iter().filter(|value| !self.tracked[value.index()]);
        let untracked: u64 = untracked.map(|value| self.sizes[value.index()]).sum();
        let own = match &node.op {
            Op::Linear { weight, bias } => {
                let dropped = if self.load.drops[weight.index()] { read } else { 0 };
                made + u64::from(bias.is_some()) * made + dropped
            }
            Op::Norm(norm) => match (norm.kind, norm.weight, norm.bias) {
                (NormKind::Rms, Some(_), None) => made,
                (NormKind::Rms, weight, bias) => {
                    (2 + u64::from(weight.is_some()) + u64::from(bias.is_some())) * made
                }
                (NormKind::Layer, weight, bias) => {
                    (3 + u64::from(weight.is_some()) + u64::from(bias.is_some())) * made
                }
            },
            Op::Embed { scale, .. } if *scale != 1.0 => 2 * made,
            Op::Position { .. } => 2 * made,
            Op::SoftCap { .. } => 3 * made,
            Op::Attention(attention) if attention.soft_cap.is_some() => {
                let tokens = self.load.tokens as u64;
                let scores = attention.heads as u64 * tokens * self.load.longest as u64 * F32;
                2 * made + read + (SCORES_KEPT + 3) * scores
            }
            Op::LatentAttention(attention) => {
                let tokens = self.load.tokens as u64;
                let scores = attention.heads as u64 * tokens * self.load.longest as u64 * F32;
                let expanded = attention.heads
                    * (2 * attention.nope_dim + 2 * attention.rope_dim + 2 * attention.value_dim);
                2 * made + read + tokens * expanded as u64 * F32 + SCORES_KEPT * scores
            }
            Op::Experts(experts) => {
                let rows = (self.load.tokens * experts.top_k) as u64;
                let inner = rows * experts.width as u64 * F32;
                4 * inner + (3 * experts.top_k as u64 + 1) * made
            }
            _ => made,
        };
        own + untracked
    }
}
