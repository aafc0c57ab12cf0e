//! Which nodes run, on which rows, and how long their values live.
//!
//! Behind the last op that mixes rows, only rows that somebody wants are computed: of a prompt of
//! 500 tokens one, for the feed-forward of the last layer and for the vocabulary. These steps are
//! the *tail*; values that reach into it are *compacted* at its start, in place.

use edgeformer_core::graph::{Node, Value};
use edgeformer_core::{Graph, Op};

use super::fusion::{Fusion, Group, Uses, groups};

/// The steps of a program, in order.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub steps: Vec<Planned>,
    /// `steps[tail..]` see the wanted rows alone.
    pub tail: usize,
    /// By value: made for the wanted rows alone.
    pub compact: Vec<bool>,
    /// Values that the start of the tail compacts.
    pub crossing: Vec<Value>,
    /// By value: written straight into the caller's outputs.
    pub in_outputs: Vec<bool>,
}

/// Nodes that run as one step.
#[derive(Debug)]
pub(crate) struct Planned {
    pub group: Group,
    /// The input whose memory the output takes over.
    pub takes_over: Option<usize>,
    /// Values that nobody reads afterwards.
    pub dies: Vec<Value>,
}

impl Schedule {
    pub fn new(graph: &Graph) -> Self {
        let nodes = live_nodes(graph);
        let (body, behind) = nodes.split_at(tail_start(graph, &nodes));
        let uses = Uses::new(graph, &nodes);
        // What sees all rows and what sees the wanted ones alone never share a step.
        let mut steps = groups(graph, body, &uses);
        let tail = steps.len();
        steps.extend(groups(graph, behind, &uses));
        let last_use = last_uses(graph, &steps);
        let made_at = made_at(graph, &steps);
        let output = graph.output.value;

        let edge = body.last().map(|&node| &graph.nodes[node].op);
        let attention_at_edge = matches!(edge, Some(Op::Attention(_) | Op::LatentAttention(_)));
        let first_compact = if attention_at_edge { tail - 1 } else { tail };
        let values = || (0..graph.values.len() as u32).map(Value);
        let compact: Vec<bool> = values()
            .map(|value| made_at[value.index()].is_some_and(|step| step >= first_compact))
            .collect();
        let crossing = values()
            .filter(|value| {
                let used = value == &output || last_use[value.index()].is_some_and(|at| at >= tail);
                used && made_at[value.index()].is_some() && !compact[value.index()]
            })
            .collect();

        let mut schedule =
            Self { steps: Vec::new(), tail, compact, crossing, in_outputs: Vec::new() };
        schedule.in_outputs = schedule.output_chain(graph, &steps, &last_use, &made_at);
        for (at, group) in steps.into_iter().enumerate() {
            let takes_over = schedule.takes_over(graph, &group, at, &last_use);
            let dies = dying(graph, &group, at, &last_use);
            schedule.steps.push(Planned { group, takes_over, dies });
        }
        schedule
    }

    /// The nodes that run, in order.
    pub fn nodes<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = &'a Node> {
        self.steps.iter().flat_map(|step| &step.group.nodes).map(|&node| &graph.nodes[node])
    }

    /// The output, and what becomes it in place: these need no memory of their own.
    fn output_chain(
        &self,
        graph: &Graph,
        steps: &[Group],
        last_use: &[Option<usize>],
        made_at: &[Option<usize>],
    ) -> Vec<bool> {
        let mut chain = vec![false; graph.values.len()];
        let mut value = graph.output.value;
        while let Some(at) = made_at[value.index()].filter(|&at| at >= self.tail) {
            chain[value.index()] = true;
            match steps[at].inputs[..] {
                [input]
                    if works_in_place(graph, &steps[at]) && last_use[input.index()] == Some(at) =>
                {
                    value = input;
                }
                _ => break,
            }
        }
        chain
    }

    /// An input of an elementwise op that dies with it and lives in the same kind of memory.
    fn takes_over(
        &self,
        graph: &Graph,
        step: &Group,
        at: usize,
        last_use: &[Option<usize>],
    ) -> Option<usize> {
        if !works_in_place(graph, step) {
            return None;
        }
        let output = step.outputs.first()?.index();
        step.inputs.iter().position(|input| {
            let once = step.inputs.iter().filter(|other| other == &input).count() == 1;
            once && last_use[input.index()] == Some(at)
                && graph.output.value != *input
                && self.in_outputs[input.index()] == self.in_outputs[output]
        })
    }
}

/// Whether a step makes its output of its first input element by element, or row by row.
fn works_in_place(graph: &Graph, step: &Group) -> bool {
    if step.fusion != Fusion::Alone {
        return false;
    }
    matches!(
        graph.nodes[step.nodes[0]].op,
        Op::Position { .. }
            | Op::AddRow { .. }
            | Op::Rope(_)
            | Op::Activation(_)
            | Op::Multiply
            | Op::Add
            | Op::Scale { .. }
            | Op::AdapterScale(_)
            | Op::SoftCap { .. }
    )
}

/// Nodes that the output depends on.
fn live_nodes(graph: &Graph) -> Vec<usize> {
    let mut wanted = vec![false; graph.values.len()];
    wanted[graph.output.value.index()] = true;
    let mut nodes = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        if node.outputs.iter().any(|value| wanted[value.index()]) {
            node.inputs.iter().for_each(|value| wanted[value.index()] = true);
            nodes.push(index);
        }
    }
    nodes.reverse();
    nodes
}

/// The step after the last that mixes rows or reads the graph's input.
fn tail_start(graph: &Graph, nodes: &[usize]) -> usize {
    let last = nodes.iter().rposition(|&node| {
        let op = &graph.nodes[node].op;
        op.mixes_rows() || matches!(op, Op::Embed { .. })
    });
    last.map_or(0, |last| last + 1)
}

fn last_uses(graph: &Graph, steps: &[Group]) -> Vec<Option<usize>> {
    let mut last = vec![None; graph.values.len()];
    for (at, step) in steps.iter().enumerate() {
        step.inputs.iter().for_each(|value| last[value.index()] = Some(at));
    }
    last
}

fn made_at(graph: &Graph, steps: &[Group]) -> Vec<Option<usize>> {
    let mut made = vec![None; graph.values.len()];
    for (at, step) in steps.iter().enumerate() {
        step.outputs.iter().for_each(|value| made[value.index()] = Some(at));
    }
    made
}

fn dying(graph: &Graph, step: &Group, at: usize, last_use: &[Option<usize>]) -> Vec<Value> {
    let Group { inputs, outputs, .. } = step;
    let read_last = inputs.iter().filter(|value| last_use[value.index()] == Some(at));
    let never_read = outputs.iter().filter(|value| last_use[value.index()].is_none());
    let mut dies: Vec<Value> =
        read_last.chain(never_read).copied().filter(|value| *value != graph.output.value).collect();
    dies.sort_unstable();
    dies.dedup();
    dies
}
