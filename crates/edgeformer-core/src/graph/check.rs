use super::infer::Scope;
use super::op::Op;
use super::value::{ValueInfo, WeightId};
use super::{Graph, Node};
use crate::{Error, Result};

impl Graph {
    /// Whether the graph is well formed: topological order, every value made once, every shape as
    /// its op infers it, every weight and cache slot known, each slot used by one op.
    ///
    /// # Errors
    /// The first node that is not, and why.
    pub fn check(&self) -> Result<()> {
        let mut made = 0;
        let mut slots = vec![false; self.cache.slots.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            let checked =
                self.check_node(node, made).and_then(|()| claim_slot(&node.op, &mut slots));
            checked
                .map_err(|problem| self.problem(format!("{index} {}", node.op.name()), problem))?;
            made += node.outputs.len();
        }
        if made != self.values.len() {
            return Err(self.problem(
                "end".into(),
                format!("{made} values are made, {} are listed", self.values.len()),
            ));
        }
        if slots.contains(&false) {
            return Err(self.problem("end".into(), "a cache slot is used by no op".into()));
        }
        if self.output.value.index() >= made {
            return Err(
                self.problem("end".into(), format!("the output {} is not made", self.output.value))
            );
        }
        Ok(())
    }

    fn check_node(&self, node: &Node, made: usize) -> std::result::Result<(), String> {
        if let Some(value) = node.inputs.iter().find(|value| value.index() >= made) {
            return Err(format!("reads {value} before it is made"));
        }
        let inputs: Vec<ValueInfo> =
            node.inputs.iter().map(|value| self.values[value.index()]).collect();
        let weights = |id: WeightId| self.weights.get(id.index()).map(|info| info.shape.as_slice());
        let scope = Scope { input: self.input, weights: &weights, cache: &self.cache };
        let inferred = scope.infer(&node.op, &inputs)?;
        if node.outputs.len() != inferred.len() {
            return Err(format!("makes {} values, lists {}", inferred.len(), node.outputs.len()));
        }
        for (offset, (output, inferred)) in node.outputs.iter().zip(&inferred).enumerate() {
            if output.index() != made + offset {
                return Err(format!("makes {output} out of order"));
            }
            match self.values.get(output.index()) {
                Some(listed) if listed == inferred => {}
                Some(listed) => return Err(format!("makes {inferred}, listed is {listed}")),
                None => return Err(format!("makes {output}, which is not listed")),
            }
        }
        Ok(())
    }

    fn problem(&self, node: String, problem: String) -> Error {
        Error::Graph { graph: self.name.clone(), node, problem }
    }
}

fn claim_slot(op: &Op, slots: &mut [bool]) -> std::result::Result<(), String> {
    let slot = match op {
        Op::Attention(attention) => attention.slot,
        Op::LatentAttention(attention) => Some(attention.slot),
        _ => None,
    };
    let Some(slot) = slot else { return Ok(()) };
    if std::mem::replace(&mut slots[slot.0 as usize], true) {
        return Err(format!("cache slot {} is used twice", slot.0));
    }
    Ok(())
}
