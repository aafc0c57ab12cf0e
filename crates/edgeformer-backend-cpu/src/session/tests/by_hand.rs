//! Graphs small enough to compute by hand.

use edgeformer_core::graph::*;
use edgeformer_core::{Tensor, Weight, Weights};

use super::*;

fn model(graph: Graph, weights: &[(&str, &[f32])]) -> Arc<Model> {
    let mut all = Weights::default();
    for (name, values) in weights {
        let shape = &graph.weights.iter().find(|info| info.name == *name).unwrap().shape;
        all.insert(*name, Weight::whole(Tensor::from_f32(shape.clone(), values).unwrap()));
    }
    Arc::new(Model { graph, weights: all })
}

fn words(vocabulary: usize) -> GraphBuilder {
    GraphBuilder::new("by hand", GraphInput::Tokens { vocabulary, context: 16 })
}

#[test]
fn a_line_and_its_residual() {
    let mut graph = words(2);
    let x = graph.embed("embd", 2, 3.0).unwrap();
    let y = graph.linear(x, "line", 2, true).unwrap();
    let y = graph.activation(y, Activation::Relu).unwrap();
    let sum = graph.add(y, x).unwrap();
    let twice = graph.add(sum, sum).unwrap();
    let out = graph.multiply(twice, x).unwrap();
    let graph = graph.finish(OutputKind::HiddenStates, out).unwrap();
    let weights: [(&str, &[f32]); 3] = [
        ("embd", &[1., 2., -1., 0.]),
        ("line.weight", &[1., 1., 2., -1.]),
        ("line.bias", &[1., -1.]),
    ];
    // x = [3, 6] and [-3, 0]; relu(W x + b) = [10, 0] and [0, 0]
    let got =
        forward(open(&model(graph, &weights), 2, &options()).as_mut(), Input::Tokens(&[0, 1]));
    assert_eq!(got, [78., 72., 18., 0.]);
}

#[test]
fn causal_attention_averages_what_it_sees() {
    let mut graph = words(3);
    let v = graph.embed("embd", 1, 1.0).unwrap();
    let zero = graph.scale(v, 0.0).unwrap();
    let attention = Attention {
        heads: 1,
        kv_heads: 1,
        key_dim: 1,
        value_dim: 1,
        scale: 1.0,
        mask: Mask::Causal,
        window: Some(2),
        soft_cap: None,
        slot: None,
    };
    let seen = graph.attention(zero, zero, v, attention).unwrap();
    let graph = graph.finish(OutputKind::HiddenStates, seen).unwrap();
    let model = model(graph, &[("embd", &[1., 3., 8.])]);
    let got = forward(open(&model, 1, &options()).as_mut(), Input::Tokens(&[0, 1, 2, 0]));
    assert_eq!(got, [1., 2., 5.5, 4.5]);
}

#[test]
fn bidirectional_sequences_of_a_batch_do_not_see_each_other() {
    let mut graph = words(3);
    let v = graph.embed("embd", 1, 1.0).unwrap();
    let zero = graph.scale(v, 0.0).unwrap();
    let attention = Attention {
        heads: 1,
        kv_heads: 1,
        key_dim: 1,
        value_dim: 1,
        scale: 1.0,
        mask: Mask::Bidirectional,
        window: None,
        soft_cap: None,
        slot: None,
    };
    let seen = graph.attention(zero, zero, v, attention).unwrap();
    let pooled = graph.pool(seen, Pool::Max).unwrap();
    let graph = graph.finish(OutputKind::HiddenStates, pooled).unwrap();
    let model = model(graph, &[("embd", &[1., 3., 8.])]);
    let mut session = open(&model, 2, &options());
    let ids = [0; 3].map(|_| session.cache().create().unwrap());
    let spans = [
        text(ids[0], &[0, 1], Want::All),
        text(ids[1], &[2], Want::Nothing),
        text(ids[2], &[0, 1, 2], Want::Last),
    ];
    let mut outputs = Outputs::default();
    session.run(&Step { spans: &spans }, &mut outputs).unwrap();
    assert_eq!(outputs.span(0).data(), [2.]);
    assert!(outputs.span(1).is_empty());
    assert_eq!(outputs.span(2).data(), [4.]);
    assert_eq!(session.cache().len(ids[2]), 0);
}

#[test]
fn images_become_patches_behind_a_class_token() {
    let input = GraphInput::Pixels { channels: 1, size: [2, 4] };
    let mut graph = GraphBuilder::new("by hand", input);
    let unfold =
        Unfold { channels: 1, size: [2, 4], kernel: [2, 2], stride: [2, 2], padding: [0, 0] };
    let x = graph.unfold(unfold).unwrap();
    let x = graph.linear(x, "patch", 1, false).unwrap();
    let x = graph.prepend(x, "class", 1).unwrap();
    let x = graph.position(x, "position", 3, 0).unwrap();
    let x = graph.add_row(x, "segment", 2, 1).unwrap();
    let wide = graph.concat(&[x, x]).unwrap();
    let [_, x] = graph.split(wide, [1, 1]).unwrap();
    let mean = graph.pool(x, Pool::Mean).unwrap();
    let first = graph.pool(x, Pool::Class).unwrap();
    let both = graph.concat(&[mean, first]).unwrap();
    let graph = graph.finish(OutputKind::ClassScores, both).unwrap();
    let weights: [(&str, &[f32]); 4] = [
        ("patch.weight", &[1., 10., 100., 1000.]),
        ("class", &[7.]),
        ("position", &[0.25, 0.5, 0.75]),
        ("segment", &[9., 1000.]),
    ];
    let image = [1., 2., 3., 4., 5., 6., 7., 8.];
    let model = model(graph, &weights);
    let mut session = open(&model, 1, &SessionOptions { chunk: 6, ..options() });
    // Patches 6521 and 8743, class 7, plus positions and 1000.
    let got = forward(session.as_mut(), Input::Pixels(&image));
    assert_eq!(got, [(6521.5 + 8743.75 + 7.25 + 3000.0) / 3.0, 1007.25]);

    let ids = [0; 2].map(|_| session.cache().create().unwrap());
    let twice: Vec<f32> = image.iter().map(|value| 2.0 * value).collect();
    let spans = [(ids[0], &twice[..]), (ids[1], &image[..])].map(|(sequence, pixels)| Span {
        sequence,
        input: Input::Pixels(pixels),
        want: Want::Last,
    });
    let mut outputs = Outputs::default();
    session.run(&Step { spans: &spans }, &mut outputs).unwrap();
    assert_eq!(outputs.span(1).data(), got);
    assert_ne!(outputs.span(0).data(), got);
}

#[test]
fn the_best_experts_of_the_best_groups_are_mixed() {
    let mut graph = words(1);
    let x = graph.embed("embd", 1, 1.0).unwrap();
    let experts = Experts {
        count: 4,
        top_k: 2,
        width: 1,
        router: graph.weight("router", &[4, 1]).unwrap(),
        scoring: Scoring::Softmax,
        selection_bias: None,
        groups: Some(ExpertGroups { count: 2, top: 1, scored_by: 1 }),
        normalise: true,
        scale: 2.0,
        gate: graph.weight("gate", &[4, 1, 1]).unwrap(),
        up: graph.weight("up", &[4, 1, 1]).unwrap(),
        down: graph.weight("down", &[4, 1, 1]).unwrap(),
        activation: Activation::Relu,
    };
    let out = graph.experts(x, experts).unwrap();
    let graph = graph.finish(OutputKind::HiddenStates, out).unwrap();
    // Scores 0, ln 3, ln 2, ln 2: experts 0 and 1 by the group of the best, weighing 1/4 and 3/4.
    let weights: [(&str, &[f32]); 5] = [
        ("embd", &[1.]),
        ("router", &[0., 3f32.ln(), 2f32.ln(), 2f32.ln()]),
        ("gate", &[1., 2., 50., 50.]),
        ("up", &[1., 1., 1., 1.]),
        ("down", &[4., 6., 1., 1.]),
    ];
    let got = forward(open(&model(graph, &weights), 1, &options()).as_mut(), Input::Tokens(&[0]));
    assert!((got[0] - 2.0 * (4.0 / 4.0 + 12.0 * 3.0 / 4.0)).abs() < 1e-4, "{got:?}");
}
