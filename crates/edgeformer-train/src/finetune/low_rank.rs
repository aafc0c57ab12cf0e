use std::collections::{BTreeMap, BTreeSet};

use edgeformer_core::graph::WeightId;
use edgeformer_core::{Adapter, Graph, LowRank, Op, Tensor};
use serde::Serialize;

use crate::{Error, Result};
use edgeformer_core::random::Random;

/// What the numbers of a new adapter are for.
const INITIAL: u64 = 2;

/// An adapter that learns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoraOptions {
    /// Rows of `A`, columns of `B`.
    pub rank: usize,
    /// The product is multiplied with `alpha / rank`.
    pub alpha: f32,
    /// Share of the inputs that is left out in every step.
    pub dropout: f32,
    /// Which linear layers get one.
    pub targets: Targets,
}

/// Linear layers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// All, but for what turns the last hidden states into output (`all-linear` of peft).
    #[default]
    AllLinear,
    /// Those whose name, in the graph or at Hugging Face, ends with one of these.
    Named(Vec<String>),
}

impl Default for LoraOptions {
    fn default() -> Self {
        Self { rank: 16, alpha: 32.0, dropout: 0.0, targets: Targets::AllLinear }
    }
}

impl LoraOptions {
    pub(super) fn check(&self) -> Result<()> {
        let rules = [
            (self.rank > 0, "the rank of an adapter must be above 0"),
            (self.alpha.is_finite() && self.alpha > 0.0, "alpha must be above 0"),
            ((0.0..1.0).contains(&self.dropout), "dropout is from 0 to below 1"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, problem)) => Err(Error::Request((*problem).into())),
            None => Ok(()),
        }
    }

    /// A new adapter of a graph: `A` as peft has it (uniform, as PyTorch initialises linear
    /// layers), `B` zero, so that nothing changes before it learns.
    ///
    /// # Errors
    /// If no layer is named so, or a matrix is smaller than the rank.
    pub(super) fn new_adapter(&self, graph: &Graph, seed: u64) -> Result<Adapter> {
        let mut pairs = BTreeMap::new();
        for (index, name, [out, columns]) in self.layers(graph) {
            let mut random = Random::of(seed, &[INITIAL, index as u64]);
            // kaiming_uniform_ with a = sqrt(5): the bound is 1 / sqrt(in).
            let bound = 1.0 / (columns as f64).sqrt();
            let mut draw = || (bound * (2.0 * random.unit() - 1.0)) as f32;
            let a: Vec<f32> = (0..self.rank * columns).map(|_| draw()).collect();
            let pair = LowRank {
                a: Tensor::from_f32([self.rank, columns], &a)?,
                b: Tensor::from_f32([out, self.rank], &vec![0.0; out * self.rank])?,
                scale: self.alpha / self.rank as f32,
            };
            pairs.insert(name.to_owned(), pair);
        }
        if pairs.is_empty() {
            let known: BTreeSet<_> = layers(graph).map(|(_, name, _)| kind(name)).collect();
            let known: Vec<_> = known.into_iter().collect();
            let problem = format!(
                "no linear layer is a target: the model has {}; or take all-linear",
                known.join(", ")
            );
            return Err(Error::Request(problem));
        }
        Ok(Adapter { name: "the adapter that learns".into(), pairs, backings: Vec::new() })
    }

    fn layers<'a>(
        &'a self,
        graph: &'a Graph,
    ) -> impl Iterator<Item = (usize, &'a str, [usize; 2])> {
        layers(graph).filter(|(_, name, _)| match &self.targets {
            Targets::AllLinear => !is_head(name),
            Targets::Named(names) => {
                names.iter().any(|wanted| wanted == kind(name) || is_called(kind(name), wanted))
            }
        })
    }
}

/// The matrices of all linear layers but for the head, which is kept more precisely where a model is
/// quantized.
pub(super) fn all_linear(graph: &Graph) -> impl Iterator<Item = WeightId> + '_ {
    let of_blocks = layers(graph).filter(|(_, name, _)| !is_head(name));
    of_blocks.map(|(index, _, _)| WeightId(index as u32))
}

/// The matrices of linear layers, each once, that nothing else reads.
fn layers(graph: &Graph) -> impl Iterator<Item = (usize, &str, [usize; 2])> {
    let is_linear = |index: usize| {
        let mut uses = graph
            .nodes
            .iter()
            .filter(|node| node.op.weights().iter().any(|weight| weight.index() == index));
        uses.all(|node| matches!(node.op, Op::Linear { weight, .. } if weight.index() == index))
    };
    graph.weights.iter().enumerate().filter_map(move |(index, info)| {
        let &[out, columns] = info.shape.as_slice() else { return None };
        is_linear(index).then_some((index, info.name.as_str(), [out, columns]))
    })
}

/// `blk.3.attn_q.weight` to `attn_q`.
fn kind(name: &str) -> &str {
    let stem = name.strip_suffix(".weight").unwrap_or(name);
    stem.rsplit('.').next().unwrap_or(stem)
}

fn is_head(name: &str) -> bool {
    name.starts_with("output.") || name.starts_with("cls.")
}

/// Whether a layer of the graph is what Hugging Face's models call so.
fn is_called(kind: &str, theirs: &str) -> bool {
    const NAMES: [(&str, &[&str]); 9] = [
        ("attn_q", &["q_proj", "query"]),
        ("attn_k", &["k_proj", "key"]),
        ("attn_v", &["v_proj", "value"]),
        ("attn_output", &["o_proj", "out_proj"]),
        ("attn_qkv", &["qkv_proj", "c_attn"]),
        ("ffn_gate", &["gate_proj"]),
        ("ffn_up", &["up_proj", "gate_up_proj", "c_fc", "fc1"]),
        ("ffn_down", &["down_proj", "fc2"]),
        ("output", &["lm_head"]),
    ];
    NAMES.iter().any(|(ours, known)| *ours == kind && known.contains(&theirs))
}
