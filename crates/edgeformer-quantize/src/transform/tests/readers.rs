//! The table of readers is the graph's.

use std::collections::{BTreeMap, BTreeSet};

use edgeformer_core::Graph;
use edgeformer_core::graph::{LatentUp, Node, Op, Pool, Value, WeightId};

use super::small;
use crate::transform::fold::{Source, foldables};

type Table = BTreeMap<String, BTreeSet<String>>;

/// Norms of whole rows whose every reader is a matrix that nobody else uses, with those matrices.
fn norms_of(graph: &Graph) -> Table {
    let mut table = Table::new();
    for node in &graph.nodes {
        let Op::Norm(norm) = &node.op else { continue };
        let Some(weight) = norm.weight.filter(|_| norm.groups == 1) else { continue };
        let Some(readers) = matrices_reading(graph, node.outputs[0]) else { continue };
        table.insert(graph.weight(weight).name.clone(), readers);
    }
    table
}

fn matrices_reading(graph: &Graph, value: Value) -> Option<BTreeSet<String>> {
    if graph.output.value == value {
        return None;
    }
    let reading = graph.nodes.iter().filter(|node| node.inputs.contains(&value));
    let mut readers = BTreeSet::new();
    for node in reading {
        // The last row is as the others are: what reads it reads the norm.
        if matches!(node.op, Op::Pool(Pool::Last)) {
            readers.extend(matrices_reading(graph, node.outputs[0])?);
            continue;
        }
        for id in matrices(node)? {
            let used = graph.nodes.iter().filter(|node| uses(node, id)).count();
            if used > 1 {
                return None;
            }
            readers.insert(graph.weight(id).name.clone());
        }
    }
    Some(readers)
}

/// The matrices that multiply what a node reads, with it as their columns.
fn matrices(node: &Node) -> Option<Vec<WeightId>> {
    match &node.op {
        Op::Linear { weight, .. } => Some(vec![*weight]),
        Op::Experts(experts) => Some(vec![experts.router, experts.gate, experts.up]),
        Op::LatentAttention(latent) => match latent.up {
            LatentUp::Fused { weight } => Some(vec![weight]),
            LatentUp::Split { .. } => None,
        },
        _ => None,
    }
}

fn uses(node: &Node, id: WeightId) -> bool {
    let embeds = matches!(node.op, Op::Embed { table, .. } if table == id);
    embeds || matrices(node).is_some_and(|used| used.contains(&id))
}

#[test]
fn norms_are_read_by_what_the_table_says() {
    for small in small::all() {
        let mut found = Table::new();
        for pair in foldables(&small.checkpoint()).unwrap() {
            let Source::Norm { weight, .. } = pair.source else { continue };
            let readers = pair.readers.into_iter().map(|reader| reader.weight).collect();
            found.insert(weight, readers);
        }
        assert_eq!(found, norms_of(&small.graph()), "{}", small.graph().name);
    }
}

/// How many products and attentions can be folded: all whose inner side is linear.
#[test]
fn products_and_values_are_all_there() {
    for small in small::all() {
        let graph = small.graph();
        let count =
            |wanted: fn(&Op) -> bool| graph.nodes.iter().filter(|node| wanted(&node.op)).count();
        let attentions = count(|op| matches!(op, Op::Attention(_) | Op::LatentAttention(_)));
        let products = count(|op| matches!(op, Op::Multiply | Op::Experts(_)));
        let pairs = foldables(&small.checkpoint()).unwrap();
        let rows = pairs.iter().filter(|pair| matches!(pair.source, Source::Rows(_)));
        assert_eq!(rows.count(), attentions + products, "{}", graph.name);
    }
}
