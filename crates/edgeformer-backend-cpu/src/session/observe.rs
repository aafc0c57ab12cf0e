//! What products read, shown to who asked for it.

use edgeformer_core::graph::{Experts, LatentAttention, LatentUp, Value};
use edgeformer_core::{Graph, InputObserver, ObservedInput, Rows};

use super::run::Executor;
use crate::program::{Action, Instruction};

impl Executor<'_> {
    /// Shows what an instruction is about to multiply with weights. Experts show their own inputs
    /// when these are gathered.
    pub(super) fn show_inputs(&mut self, instruction: &Instruction) {
        let graph = &self.program.model.graph;
        let Some(observer) = &mut self.observer else { return };
        if let (Some(&input), false) = (instruction.inputs.first(), instruction.weights.is_empty())
        {
            let weights: Vec<&str> =
                instruction.weights.iter().map(|&id| graph.weight(id).name.as_str()).collect();
            observer(ObservedInput { weights: &weights, part: 0, rows: self.memory.read(input) });
        }
        if let Action::LatentAttention { attention, .. } = &instruction.action {
            self.show_latents(attention, &instruction.inputs);
        }
    }

    /// Up-projections of latents: of the rows that this step adds to the cache, and of the queries
    /// that are absorbed.
    fn show_latents(&mut self, attention: &LatentAttention, inputs: &[Value]) {
        let graph = &self.program.model.graph;
        let Some(observer) = &mut self.observer else { return };
        let (queries, latents) = (self.memory.read(inputs[0]), self.memory.read(inputs[2]));
        match attention.up {
            LatentUp::Fused { weight } => {
                let weights = [graph.weight(weight).name.as_str()];
                observer(ObservedInput { weights: &weights, part: 0, rows: latents });
            }
            LatentUp::Split { key, value } => {
                let [key, value] = [key, value].map(|id| graph.weight(id).name.as_str());
                for head in 0..attention.heads {
                    observer(ObservedInput { weights: &[value], part: head, rows: latents });
                    let width = attention.nope_dim;
                    let own = |row: &[f32]| row[head * width..][..width].to_vec();
                    let own: Vec<f32> = queries.iter().flat_map(own).collect();
                    let rows = Rows::new(&own, width);
                    observer(ObservedInput { weights: &[key], part: head, rows });
                }
            }
        }
    }
}

/// The rows that picked an expert.
pub(super) fn expert_input(
    graph: &Graph,
    experts: &Experts,
    part: usize,
    rows: Rows<'_>,
    observer: &mut InputObserver,
) {
    let weights = [experts.gate, experts.up].map(|id| graph.weight(id).name.as_str());
    observer(ObservedInput { weights: &weights, part, rows });
}

/// What an expert's last matrix reads.
pub(super) fn expert_hidden(
    graph: &Graph,
    experts: &Experts,
    part: usize,
    rows: Rows<'_>,
    observer: &mut InputObserver,
) {
    observer(ObservedInput { weights: &[graph.weight(experts.down).name.as_str()], part, rows });
}
