//! What a model takes, from shapes and formats alone.

use std::collections::BTreeSet;

use edgeformer_core::graph::WeightId;
use edgeformer_core::quant::ActivationFormat;
use edgeformer_core::{Graph, Op, Result, Weights};

use super::latent::prepared_bytes;
use super::pack_plan::PackPlan;
use super::schedule::Schedule;

/// What a model takes, whatever the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Needs {
    /// Bytes of the mapped tensors that are read in place, shared ones once.
    pub mapped: u64,
    /// Bytes of the panels that the others become.
    pub packed: u64,
    /// Bytes of what is decoded at compile: norms, biases, small rows, up-projections of latents.
    pub decoded: u64,
    /// Columns of the widest value that is quantized to 8 bits; zero if none is.
    pub q8_columns: usize,
}

impl Needs {
    pub fn new(
        graph: &Graph,
        weights: &Weights,
        schedule: &Schedule,
        plan: &PackPlan,
    ) -> Result<Self> {
        let mut needs = Self { packed: plan.bytes() as u64, ..Self::default() };
        let mut seen = BTreeSet::new();
        for node in schedule.nodes(graph) {
            needs.decoded += decoded_bytes(&node.op, graph, weights)?;
            for id in weights_of(&node.op) {
                for part in weights.get(&graph.weight(id).name)?.parts() {
                    if !plan.contains(part) && seen.insert(part.bytes().as_ptr() as usize) {
                        needs.mapped += part.bytes().len() as u64;
                    }
                }
            }
            for id in multiplied(&node.op) {
                let parts = weights.get(&graph.weight(id).name)?.parts();
                let quantized = parts
                    .iter()
                    .filter(|part| part.format().activation() == ActivationFormat::Q8)
                    .map(|part| part.row_len());
                needs.q8_columns = quantized.fold(needs.q8_columns, usize::max);
            }
        }
        Ok(needs)
    }
}

/// Bytes of the f32 vectors that an op's weights become, and of prepared up-projections.
fn decoded_bytes(op: &Op, graph: &Graph, weights: &Weights) -> Result<u64> {
    let vector = |id: &WeightId| {
        let elements: usize = graph.weight(*id).shape.iter().product();
        (elements * size_of::<f32>()) as u64
    };
    Ok(match op {
        Op::Linear { bias, .. } => bias.iter().map(vector).sum(),
        Op::Norm(norm) => norm.weight.iter().chain(&norm.bias).map(vector).sum(),
        Op::Prepend { rows } => vector(rows),
        Op::AddRow { table, .. } => vector(table) / graph.weight(*table).shape[0].max(1) as u64,
        Op::Experts(experts) => experts.selection_bias.iter().map(vector).sum(),
        Op::LatentAttention(attention) => prepared_bytes(attention, graph, weights)?,
        _ => 0,
    })
}

/// Every weight that an op names.
pub(crate) fn weights_of(op: &Op) -> Vec<WeightId> {
    use edgeformer_core::graph::LatentUp;
    match op {
        Op::Embed { table, .. } | Op::Position { table, .. } | Op::AddRow { table, .. } => {
            vec![*table]
        }
        Op::Prepend { rows } => vec![*rows],
        Op::Linear { weight, bias } => std::iter::once(*weight).chain(*bias).collect(),
        Op::Norm(norm) => norm.weight.into_iter().chain(norm.bias).collect(),
        Op::LatentAttention(attention) => match attention.up {
            LatentUp::Fused { weight } => vec![weight],
            LatentUp::Split { key, value } => vec![key, value],
        },
        Op::Experts(experts) => [experts.router, experts.gate, experts.up, experts.down]
            .into_iter()
            .chain(experts.selection_bias)
            .collect(),
        Op::Unfold(_)
        | Op::Split { .. }
        | Op::Concat
        | Op::Rope(_)
        | Op::Attention(_)
        | Op::Activation(_)
        | Op::Multiply
        | Op::Add
        | Op::Scale { .. }
        | Op::AdapterScale(_)
        | Op::SoftCap { .. }
        | Op::Pool(_) => Vec::new(),
    }
}

/// The weights that an op multiplies rows with, in the file's format.
pub(crate) fn multiplied(op: &Op) -> Vec<WeightId> {
    match op {
        Op::Linear { weight, .. } => vec![*weight],
        Op::Experts(experts) => vec![experts.router, experts.gate, experts.up, experts.down],
        _ => Vec::new(),
    }
}
