use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

/// What `check` says of the decoder after a change.
fn after(change: impl FnOnce(&mut Graph)) -> String {
    let mut graph = decoder().unwrap();
    change(&mut graph);
    problem(graph.check().unwrap_err())
}

fn position(graph: &Graph, name: &str) -> usize {
    graph.nodes.iter().position(|node| node.op.name() == name).unwrap()
}

#[test]
fn values_are_read_after_they_are_made() {
    insta::assert_snapshot!(
        after(|graph| graph.nodes.swap(0, 1)),
        @"0 norm: reads %0 before it is made"
    );
    insta::assert_snapshot!(
        after(|graph| graph.nodes[1].inputs[0] = Value(1)),
        @"1 norm: reads %1 before it is made"
    );
    insta::assert_snapshot!(
        after(|graph| graph.output.value = Value(1000)),
        @"end: the output %1000 is not made"
    );
}

#[test]
fn values_are_made_once_and_in_order() {
    insta::assert_snapshot!(
        after(|graph| graph.nodes[2].outputs[0] = Value(0)),
        @"2 linear: makes %0 out of order"
    );
    insta::assert_snapshot!(
        after(|graph| graph.nodes[2].outputs.push(Value(3))),
        @"2 linear: makes 1 values, lists 2"
    );
    insta::assert_snapshot!(
        after(|graph| graph.values.push(graph.values[0])),
        @"end: 31 values are made, 32 are listed"
    );
    insta::assert_snapshot!(
        after(|graph| graph.nodes.truncate(3)),
        @"end: 3 values are made, 31 are listed"
    );
}

#[test]
fn listed_shapes_are_inferred_shapes() {
    insta::assert_snapshot!(
        after(|graph| graph.values[2].width = 15),
        @"2 linear: makes [T, 16], listed is [T, 15]"
    );
    insta::assert_snapshot!(
        after(|graph| graph.values[2].rows = RowKind::Sequence),
        @"2 linear: makes [T, 16], listed is [1, 16]"
    );
    insta::assert_snapshot!(
        after(|graph| graph.weights[2].shape = vec![16, 17]),
        @"2 linear: a weight [16, 17] for an input of width 16"
    );
    insta::assert_snapshot!(
        after(|graph| graph.weights.truncate(2)),
        @"2 linear: there is no weight 2"
    );
}

#[test]
fn a_cache_slot_belongs_to_one_op() {
    insta::assert_snapshot!(
        after(|graph| graph.cache.slots.truncate(1)),
        @"23 latent_attention: there is no cache slot 1"
    );
    insta::assert_snapshot!(
        after(|graph| graph.cache.slots.push(graph.cache.slots[0])),
        @"end: a cache slot is used by no op"
    );
    insta::assert_snapshot!(
        after(|graph| graph.cache.slots.swap(0, 1)),
        @"8 attention: cache slot 0 is Latent { rank: 6, rope_dim: 2 }, the op needs KeyValue { heads: 2, key_dim: 4, value_dim: 4, window: Some(8) }"
    );
    let twice = after(|graph| {
        let index = position(graph, "attention");
        let Node { op, inputs, .. } = graph.nodes[index].clone();
        let value = Value(graph.values.len() as u32);
        graph.values.push(graph.values[0]);
        graph.nodes.push(Node { op, inputs, outputs: vec![value] });
    });
    insta::assert_snapshot!(twice, @"29 attention: cache slot 0 is used twice");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// One number of a graph's JSON becomes another: refused, or a graph that can be drawn.
    #[test]
    fn a_damaged_graph_is_refused_or_whole(
        at in any::<prop::sample::Index>(),
        number in prop_oneof![
            prop::sample::select(vec![0, 1, 2, 3, 1 << 20, 1 << 31, u64::from(u32::MAX), 1 << 62, u64::MAX]),
            0..20u64,
        ],
        image in any::<bool>(),
    ) {
        let graph = if image { classifier() } else { decoder() }.unwrap();
        let mut json = serde_json::to_value(&graph).unwrap();
        let mut numbers = Vec::new();
        find_numbers(&mut json, &mut numbers);
        let index = at.index(numbers.len());
        *numbers.swap_remove(index) = number.into();
        if let Ok(graph) = serde_json::from_value::<Graph>(json) && graph.check().is_ok() {
            prop_assert!(graph.to_text().starts_with("graph "));
            prop_assert!(graph.to_mermaid().starts_with("flowchart"));
        }
    }
}

fn find_numbers<'a>(json: &'a mut Json, numbers: &mut Vec<&'a mut Json>) {
    match json {
        Json::Number(_) => numbers.push(json),
        Json::Array(items) => items.iter_mut().for_each(|item| find_numbers(item, numbers)),
        Json::Object(fields) => fields.values_mut().for_each(|field| find_numbers(field, numbers)),
        _ => {}
    }
}
