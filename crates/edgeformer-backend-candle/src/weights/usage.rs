use edgeformer_core::Graph;
use edgeformer_core::graph::{LatentUp, Op, WeightId};

/// What a graph does with a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Usage {
    /// Rows are looked up.
    pub table: bool,
    /// Rows are multiplied with it.
    pub product: bool,
    /// All of it goes into arithmetic.
    pub whole: bool,
}

/// What a graph does with each of its weights.
pub(super) fn of(graph: &Graph) -> Vec<Usage> {
    let mut uses = vec![Usage::default(); graph.weights.len()];
    for node in &graph.nodes {
        let mut whole = |ids: &[Option<WeightId>]| {
            ids.iter().flatten().for_each(|id| uses[id.index()].whole = true);
        };
        match &node.op {
            Op::Embed { table, .. } => uses[table.index()].table = true,
            Op::Position { table, .. } | Op::AddRow { table, .. } => whole(&[Some(*table)]),
            Op::Prepend { rows } => whole(&[Some(*rows)]),
            Op::Norm(norm) => whole(&[norm.weight, norm.bias]),
            Op::LatentAttention(attention) => match attention.up {
                LatentUp::Fused { weight } => whole(&[Some(weight)]),
                LatentUp::Split { key, value } => whole(&[Some(key), Some(value)]),
            },
            Op::Linear { weight, bias } => {
                whole(&[*bias]);
                uses[weight.index()].product = true;
            }
            Op::Experts(experts) => {
                whole(&[experts.selection_bias]);
                for id in [experts.router, experts.gate, experts.up, experts.down] {
                    uses[id.index()].product = true;
                }
            }
            _ => {}
        }
    }
    uses
}
