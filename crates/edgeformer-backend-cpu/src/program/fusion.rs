//! Neighbouring nodes that run as one step: fewer passes over memory, fewer meetings of threads.
//!
//! Nothing changes in what is added to what, and in which order: a fused step gives the bits that
//! its nodes give one after the other.

use edgeformer_core::graph::{Node, Value};
use edgeformer_core::{Graph, Op};

/// Products that share a step at most.
pub(crate) const MOST_SIBLINGS: usize = 4;

/// How the nodes of a step belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fusion {
    /// One node.
    Alone,
    /// Products of one value, such as queries, keys and values.
    Siblings,
    /// `activation(x Gᵀ) * (x Uᵀ)`: four nodes, in this order: gate, activation, up, product.
    Gated,
    /// `r + x Wᵀ`: a product, then the sum with what is not the product.
    Residual,
}

/// Nodes that run as one step, and what they read and make for others.
#[derive(Debug)]
pub(crate) struct Group {
    pub fusion: Fusion,
    /// Indices into the graph's nodes, in order.
    pub nodes: Vec<usize>,
    /// For a residual: what is multiplied, then what is added.
    pub inputs: Vec<Value>,
    /// For a gated pair: the result, then the memory in which `x Uᵀ` is made.
    pub outputs: Vec<Value>,
}

/// How often values are read, the graph's output once more.
pub(crate) struct Uses(Vec<usize>);

impl Uses {
    pub fn new(graph: &Graph, nodes: &[usize]) -> Self {
        let mut uses = vec![0; graph.values.len()];
        uses[graph.output.value.index()] += 1;
        for &node in nodes {
            graph.nodes[node].inputs.iter().for_each(|input| uses[input.index()] += 1);
        }
        Self(uses)
    }

    /// Whether a value is read once, and not by whom the graph was made for.
    fn once(&self, value: Value) -> bool {
        self.0[value.index()] == 1
    }
}

/// Cuts neighbouring nodes into groups.
pub(crate) fn groups(graph: &Graph, nodes: &[usize], uses: &Uses) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut rest = nodes;
    while !rest.is_empty() {
        let group = first_group(graph, rest, uses);
        rest = &rest[group.nodes.len()..];
        groups.push(group);
    }
    groups
}

/// The longest group that begins with the first node.
fn first_group(graph: &Graph, nodes: &[usize], uses: &Uses) -> Group {
    let node = &graph.nodes[nodes[0]];
    gated(graph, nodes, uses)
        .or_else(|| siblings(graph, nodes))
        .or_else(|| residual(graph, nodes, uses))
        .unwrap_or_else(|| Group {
            fusion: Fusion::Alone,
            nodes: vec![nodes[0]],
            inputs: node.inputs.clone(),
            outputs: node.outputs.clone(),
        })
}

fn gated(graph: &Graph, nodes: &[usize], uses: &Uses) -> Option<Group> {
    let [gate, activation, up, product] = nodes.first_chunk()?.map(|node| &graph.nodes[node]);
    let [gated, activated, raised] = [output(gate), output(activation), output(up)];
    let ops = is_linear(gate)
        && matches!(activation.op, Op::Activation(_))
        && is_linear(up)
        && matches!(product.op, Op::Multiply);
    let chained = activation.inputs == [gated]
        && (product.inputs == [activated, raised] || product.inputs == [raised, activated]);
    let own = [gated, activated, raised].into_iter().all(|value| uses.once(value));
    let fits = ops && chained && own && gate.inputs == up.inputs;
    fits.then(|| Group {
        fusion: Fusion::Gated,
        nodes: nodes[..4].to_vec(),
        inputs: gate.inputs.clone(),
        outputs: vec![output(product), raised],
    })
}

fn siblings(graph: &Graph, nodes: &[usize]) -> Option<Group> {
    let inputs = &graph.nodes[nodes[0]].inputs;
    let alike = |&&node: &&usize| {
        let node = &graph.nodes[node];
        is_linear(node) && node.inputs == *inputs
    };
    let nodes: Vec<_> = nodes.iter().take(MOST_SIBLINGS).take_while(alike).copied().collect();
    (nodes.len() > 1).then(|| Group {
        fusion: Fusion::Siblings,
        inputs: inputs.clone(),
        outputs: nodes.iter().map(|&node| output(&graph.nodes[node])).collect(),
        nodes,
    })
}

fn residual(graph: &Graph, nodes: &[usize], uses: &Uses) -> Option<Group> {
    let [linear, sum] = nodes.first_chunk()?.map(|node| &graph.nodes[node]);
    let product = output(linear);
    if !is_linear(linear) || !matches!(sum.op, Op::Add) || !uses.once(product) {
        return None;
    }
    let other = match sum.inputs[..] {
        [a, b] if a == product => b,
        [a, b] if b == product => a,
        _ => return None,
    };
    Some(Group {
        fusion: Fusion::Residual,
        nodes: nodes[..2].to_vec(),
        inputs: vec![linear.inputs[0], other],
        outputs: vec![output(sum)],
    })
}

fn is_linear(node: &Node) -> bool {
    matches!(node.op, Op::Linear { .. })
}

/// The one output of ops that have one.
fn output(node: &Node) -> Value {
    node.outputs[0]
}

#[cfg(test)]
mod tests {
    use edgeformer_core::graph::{Activation, GraphBuilder, GraphInput, OutputKind};

    use super::*;

    fn fused(graph: &Graph) -> Vec<(Fusion, usize)> {
        let nodes: Vec<_> = (0..graph.nodes.len()).collect();
        let groups = groups(graph, &nodes, &Uses::new(graph, &nodes));
        groups.iter().map(|group| (group.fusion, group.nodes.len())).collect()
    }

    fn builder() -> GraphBuilder {
        GraphBuilder::new("test", GraphInput::Tokens { vocabulary: 8, context: 16 })
    }

    #[test]
    fn a_feed_forward_is_two_steps() {
        let mut b = builder();
        let x = b.embed("token_embd.weight", 4, 1.0).unwrap();
        let gate = b.linear(x, "gate", 8, true).unwrap();
        let gate = b.activation(gate, Activation::Silu).unwrap();
        let up = b.linear(x, "up", 8, false).unwrap();
        let inner = b.multiply(gate, up).unwrap();
        let down = b.linear(inner, "down", 4, false).unwrap();
        let out = b.add(x, down).unwrap();
        let graph = b.finish(OutputKind::HiddenStates, out).unwrap();
        let expected = [(Fusion::Alone, 1), (Fusion::Gated, 4), (Fusion::Residual, 2)];
        assert_eq!(fused(&graph), expected);
    }

    #[test]
    fn what_others_read_is_made() {
        let mut b = builder();
        let x = b.embed("token_embd.weight", 4, 1.0).unwrap();
        let [q, k] = ["q", "k"].map(|name| b.linear(x, name, 4, false).unwrap());
        let sum = b.add(q, k).unwrap();
        // `q` is read once more: the sum with it is a step of its own, and so is its product.
        let out = b.multiply(sum, q).unwrap();
        let down = b.linear(out, "down", 4, false).unwrap();
        let twice = b.add(down, down).unwrap();
        let graph = b.finish(OutputKind::HiddenStates, twice).unwrap();
        let expected = [
            (Fusion::Alone, 1),
            (Fusion::Siblings, 2),
            (Fusion::Alone, 1),
            (Fusion::Alone, 1),
            (Fusion::Alone, 1),
            (Fusion::Alone, 1),
        ];
        assert_eq!(fused(&graph), expected);
    }
}
