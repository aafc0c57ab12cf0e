use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{Adapter, LowRank, Model, Tensor, Weight, Weights};

/// A model of that graph whose weights are all zero but for their place.
fn model(graph: Graph) -> Model {
    let mut weights = Weights::default();
    for (index, info) in graph.weights.iter().enumerate() {
        let values = vec![index as f32; info.shape.iter().product()];
        weights.insert(&info.name, Weight::whole(Tensor::from_f32(&*info.shape, &values).unwrap()));
    }
    Model { graph, weights }
}

fn pair(rank: usize, out: usize, columns: usize, scale: f32) -> LowRank {
    let filled = |shape: [usize; 2], value| {
        Tensor::from_f32(shape, &vec![value; shape[0] * shape[1]]).unwrap()
    };
    LowRank { a: filled([rank, columns], 1.5), b: filled([out, rank], -0.5), scale }
}

/// The same pair for each of `count` matrices.
fn stack(count: usize, pair: LowRank) -> LowRank {
    let stacked = |tensor: &Tensor| {
        let shape = [&[count], tensor.shape()].concat();
        Tensor::from_f32(shape, &tensor.to_f32().repeat(count)).unwrap()
    };
    LowRank { a: stacked(&pair.a), b: stacked(&pair.b), ..pair }
}

fn adapter<const N: usize>(pairs: [(&str, LowRank); N]) -> Adapter {
    let pairs = pairs.map(|(name, pair)| (name.to_owned(), pair));
    Adapter { name: "my-adapter".into(), pairs: BTreeMap::from(pairs), backings: Vec::new() }
}

fn refusal<const N: usize>(pairs: [(&str, LowRank); N]) -> String {
    model(decoder().unwrap()).with_adapter(&adapter(pairs)).unwrap_err().to_string()
}

#[test]
fn an_adapter_is_nodes_beside_linear_layers() {
    let before = model(classifier().unwrap());
    let pairs =
        [("head.weight", pair(2, 10, 32, 1.0)), ("v.patch_embd.weight", pair(3, WIDTH, 48, 2.0))];
    let after = before.with_adapter(&adapter(pairs)).unwrap();
    after.graph.check().unwrap();
    after.weights.check(&after.graph).unwrap();
    insta::assert_snapshot!(after.graph.to_text(), @"
    graph vit: pixels(3x8x8) -> logits %16
      %0 [4, 48] = unfold 3x[8, 8] kernel=[4, 4] stride=[4, 4] padding=[0, 0]
      %1 [4, 16] = linear(%0) v.patch_embd.weight[16, 48] v.patch_embd.bias[16]
      %2 [4, 3] = linear(%0) v.patch_embd.weight.lora_a[3, 48]
      %3 [4, 3] = scale(%2) factor=2
      %4 [4, 16] = linear(%3) v.patch_embd.weight.lora_b[16, 3]
      %5 [4, 16] = add(%1, %4)
      %6 [5, 16] = prepend(%5) v.class_embd[1, 16]
      %7 [5, 16] = position(%6) v.position_embd.weight[5, 16]
      %8 [5, 16] = norm(%7) layer eps=1e-6 v.blk.0.ln1.weight[16] v.blk.0.ln1.bias[16]
      %9 [5, 16] = attention(%8, %8, %8) heads=4/4 dims=4/4 scale=0.5 bidirectional
      %10 [5, 32] = concat(%7, %9)
      %11 [1, 32] = pool(%10) class
      %12 [1, 32] = scale(%11) factor=0.25
      %13 [1, 10] = linear(%12) head.weight[10, 32] head.bias[10]
      %14 [1, 2] = linear(%12) head.weight.lora_a[2, 32]
      %15 [1, 10] = linear(%14) head.weight.lora_b[10, 2]
      %16 [1, 10] = add(%13, %15)
    ");
    let chart = after.graph.to_mermaid();
    assert!(chart.contains("<b>scale</b><br/>factor=2"), "{chart}");
    assert_eq!(before.graph, classifier().unwrap());
}

#[test]
fn adapters_add_up() {
    let before = model(decoder().unwrap());
    let first = adapter([("blk.0.attn_q.weight", pair(2, 16, 16, 0.5))]);
    let second = adapter([("blk.0.attn_q.weight", pair(4, 16, 16, 1.0))]);
    let both = before.with_adapter(&first).unwrap().with_adapter(&second).unwrap();
    both.graph.check().unwrap();
    both.weights.check(&both.graph).unwrap();
    let text = both.graph.to_text();
    for name in ["lora_a[2, 16]", "lora_b[16, 2]", "lora_a.2[4, 16]", "lora_b.2[16, 4]"] {
        assert!(text.contains(&format!("blk.0.attn_q.weight.{name}")), "{text}");
    }
    assert_eq!(both.graph.cache, before.graph.cache);
    let again = before.with_adapter(&second).unwrap();
    let prints = [&before, &both, &again].map(|model| model.fingerprint().unwrap());
    assert!(prints[0] != prints[1] && prints[0] != prints[2] && prints[1] != prints[2]);
}

/// What is scaled by sequence has a node of its own, which says what is usual.
#[test]
fn sequences_choose_among_adapters() {
    let before = model(decoder().unwrap());
    let name = "blk.0.attn_q.weight";
    let first = adapter([(name, pair(2, 16, 16, 0.5))]);
    let second = adapter([(name, pair(4, 16, 16, 1.0))]);
    let one = before.with_adapter_by_sequence(&first, 1.0).unwrap();
    let both = one.with_adapter_by_sequence(&second, 0.25).unwrap();
    both.graph.check().unwrap();
    both.weights.check(&both.graph).unwrap();
    assert_eq!([&before, &one, &both].map(|model| model.graph.adapters()), [0, 1, 2]);
    let text = both.graph.to_text();
    let mut told: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once("= adapter_scale(")?.1.split_once(") "))
        .map(|(_, said)| said)
        .collect();
    told.sort_unstable();
    assert_eq!(told, ["adapter=0 usual=1 factor=0.5", "adapter=1 usual=0.25"]);
    // A third that is scaled for all alike is none of them.
    assert_eq!(both.with_adapter(&first).unwrap().graph.adapters(), 2);
    // What is usual is a part of the model.
    let other = one.with_adapter_by_sequence(&second, 0.5).unwrap();
    assert_ne!(both.fingerprint().unwrap(), other.fingerprint().unwrap());
    let told = before.with_adapter_by_sequence(&first, f32::NAN).unwrap_err().to_string();
    assert!(told.contains("usual scale"), "{told}");
}

#[test]
fn a_sequence_scales_adapters() {
    let scale = AdapterScale { adapter: 1, factor: 2.0, usual: 0.5 };
    let of = |scales: &[f32]| scale.of(&crate::AdapterScales::new(scales).unwrap());
    assert_eq!((of(&[9.0, 3.0]), of(&[9.0, 0.0])), (6.0, 0.0));
    assert_eq!(scale.of(&crate::AdapterScales::default()), 1.0);
}

#[test]
fn scale_and_numbers_are_in_the_fingerprint() {
    let before = model(decoder().unwrap());
    let name = "blk.0.attn_q.weight";
    let print = |pair: LowRank| {
        before.with_adapter(&adapter([(name, pair)])).unwrap().fingerprint().unwrap()
    };
    let usual = print(pair(2, 16, 16, 0.5));
    assert_eq!(usual, print(pair(2, 16, 16, 0.5)));
    assert_ne!(usual, print(pair(2, 16, 16, 0.25)));
    let other = Tensor::from_f32([16, 2], &[0.25; 32]).unwrap();
    assert_ne!(usual, print(LowRank { b: other, ..pair(2, 16, 16, 0.5) }));
}

#[test]
fn what_does_not_fit_is_told() {
    let q = "blk.0.attn_q.weight";
    let refusals = [
        refusal([("blk.9.attn_q.weight", pair(2, 16, 16, 1.0))]),
        refusal([(q, pair(2, 16, 24, 1.0))]),
        refusal([(q, LowRank { b: pair(3, 16, 16, 1.0).b, ..pair(2, 16, 16, 1.0) })]),
        refusal([(q, pair(2, 16, 16, f32::NAN))]),
        refusal([("token_embd.weight", pair(2, 100, WIDTH, 1.0))]),
        refusal([("blk.1.attn_kv_b.weight", pair(2, 14, 6, 1.0))]),
        refusal([("blk.1.ffn_up_exps.weight", stack(8, pair(2, 5, WIDTH, 1.0)))]),
        refusal([("blk.0.attn_norm.weight", pair(2, 16, 16, 1.0))]),
        refusal([("blk.0.attn_q.bias", pair(2, 16, 16, 1.0))]),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    adapter my-adapter: weight "blk.9.attn_q.weight": the model has no such weight: the adapter belongs to another
    adapter my-adapter: weight "blk.0.attn_q.weight": it is for a weight of shape [16, 24], the model's is [16, 16]: it belongs to another model
    adapter my-adapter: weight "blk.0.attn_q.weight": A has shape [2, 16] and B [16, 3], their ranks must be one: get the adapter again
    adapter my-adapter: weight "blk.0.attn_q.weight": its scale is NaN, it must be a finite number
    adapter my-adapter: weight "token_embd.weight": embed reads it, not a linear layer alone: merge the adapter into the weights instead
    adapter my-adapter: weight "blk.1.attn_kv_b.weight": latent_attention reads it, not a linear layer alone: merge the adapter into the weights instead
    adapter my-adapter: weight "blk.1.ffn_up_exps.weight": experts reads it, not a linear layer alone: merge the adapter into the weights instead
    adapter my-adapter: weight "blk.0.attn_norm.weight": it is for a weight of shape [16, 16], the model's is [16]: it belongs to another model
    adapter my-adapter: weight "blk.0.attn_q.bias": it is for a weight of shape [16, 16], the model's is [16]: it belongs to another model
    "#);
}

proptest! {
    /// Whatever linear layers are adapted, all that was there is there still, in its order.
    #[test]
    fn the_graph_without_the_adapter_is_inside(chosen in prop::collection::vec(any::<bool>(), 16), rank in 1usize..9, scale in prop_oneof![Just(1.0f32), -4.0f32..4.0]) {
        let before = model(decoder().unwrap());
        let free = |id: WeightId| before.graph.check_adaptable(id).is_ok();
        let linear = before.graph.nodes.iter().filter_map(|node| match node.op {
            Op::Linear { weight, .. } if free(weight) => Some(weight),
            _ => None,
        });
        let mut adapter = adapter([]);
        for (weight, _) in linear.zip(&chosen).filter(|(_, chosen)| **chosen) {
            let info = before.graph.weight(weight);
            adapter.pairs.insert(info.name.clone(), pair(rank, info.shape[0], info.shape[1], scale));
        }
        let after = before.with_adapter(&adapter).unwrap();
        after.graph.check().unwrap();
        after.weights.check(&after.graph).unwrap();
        let extra = |node: &&Node| node.op.weights().iter().any(|id| id.index() >= before.graph.weights.len());
        let count = after.graph.nodes.iter().filter(extra).count();
        prop_assert_eq!(count, 2 * adapter.pairs.len());
        let per_pair = if scale == 1.0 { 3 } else { 4 };
        prop_assert_eq!(after.graph.nodes.len(), before.graph.nodes.len() + per_pair * adapter.pairs.len());
        let kept: Vec<&Op> = after.graph.nodes.iter().map(|node| &node.op).filter(|op| matches!(op, Op::Linear { weight, .. } if weight.index() < before.graph.weights.len())).collect();
        let had: Vec<&Op> = before.graph.nodes.iter().map(|node| &node.op).filter(|op| matches!(op, Op::Linear { .. })).collect();
        prop_assert_eq!(kept, had);
    }
}
