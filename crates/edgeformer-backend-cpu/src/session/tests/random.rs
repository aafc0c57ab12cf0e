//! Random graphs equal a plain evaluation that keeps every value: buffers that are reused, ops
//! that work in place and rows that are left out change nothing.

use std::collections::BTreeMap;

use edgeformer_core::graph::*;
use edgeformer_core::{Op, Outputs, Want};
use proptest::prelude::*;

use super::*;

const VOCABULARY: usize = 7;

/// What is added to a graph, and on which of the values so far.
#[derive(Debug, Clone, Copy)]
struct Choice {
    op: u8,
    first: prop::sample::Index,
    second: prop::sample::Index,
}

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    let choice = (0u8..9, any::<prop::sample::Index>(), any::<prop::sample::Index>())
        .prop_map(|(op, first, second)| Choice { op, first, second });
    prop::collection::vec(choice, 1..25)
}

fn add(graph: &mut GraphBuilder, values: &mut Vec<edgeformer_core::graph::Value>, choice: Choice) {
    let x = values[choice.first.index(values.len())];
    let width = graph.width(x);
    let alike: Vec<_> = values.iter().copied().filter(|v| graph.width(*v) == width).collect();
    let y = alike[choice.second.index(alike.len())];
    let name = format!("w{}", values.len());
    let made = match choice.op {
        0 => graph.scale(x, -0.5),
        1 => graph.add(x, y),
        2 => graph.multiply(x, y),
        3 => graph.activation(x, Activation::Relu),
        4 => graph.linear(x, &name, 4, true),
        5 => graph.add_row(x, &name, 3, 2),
        6 => graph.linear(x, &name, 6, false),
        7 if width < 64 => graph.concat(&[x, y]),
        _ => {
            let [a, b] = graph.split(x, [width / 2, width - width / 2]).unwrap();
            values.push(a);
            Ok(b)
        }
    };
    values.push(made.unwrap());
}

/// Every value of a graph over some tokens, row after row.
fn plain(model: &Model, tokens: &[u32]) -> Vec<Vec<Vec<f32>>> {
    let graph = &model.graph;
    let weight = |id: &WeightId| model.weights.get(&graph.weight(*id).name).unwrap().to_f32();
    let mut values: Vec<Vec<Vec<f32>>> = Vec::new();
    for node in &graph.nodes {
        let input = |index: usize| values[node.inputs[index].index()].clone();
        let zip = |f: fn(f32, f32) -> f32| -> Vec<Vec<f32>> {
            let row =
                |(a, b): (Vec<f32>, Vec<f32>)| a.iter().zip(b).map(|(a, b)| f(*a, b)).collect();
            input(0).into_iter().zip(input(1)).map(row).collect()
        };
        let map = |f: &dyn Fn(f32) -> f32| -> Vec<Vec<f32>> {
            input(0).into_iter().map(|row| row.into_iter().map(f).collect()).collect()
        };
        let made = match &node.op {
            Op::Embed { table, .. } => {
                let (table, width) = (weight(table), graph.width(node.outputs[0]));
                let row = |&token: &u32| table[token as usize * width..][..width].to_vec();
                vec![tokens.iter().map(row).collect()]
            }
            Op::Scale { factor } => vec![map(&|x| x * factor)],
            Op::Add => vec![zip(|a, b| a + b)],
            Op::Multiply => vec![zip(|a, b| a * b)],
            Op::Activation(_) => vec![map(&|x| x.max(0.0))],
            Op::AddRow { table, index } => {
                let width = graph.width(node.inputs[0]);
                let row = &weight(table)[index * width..][..width];
                let added =
                    |x: Vec<f32>| x.iter().zip(row).map(|(x, y)| x + y).collect::<Vec<f32>>();
                vec![input(0).into_iter().map(added).collect()]
            }
            Op::Linear { weight: matrix, bias } => {
                let (matrix, bias) = (weight(matrix), bias.as_ref().map(weight));
                let line = |x: Vec<f32>| {
                    let dot = |w: &[f32]| x.iter().zip(w).map(|(x, w)| x * w).sum::<f32>();
                    let plus = |(at, y): (usize, f32)| y + bias.as_ref().map_or(0.0, |b| b[at]);
                    matrix.chunks(x.len()).map(dot).enumerate().map(plus).collect()
                };
                vec![input(0).into_iter().map(line).collect()]
            }
            Op::Concat => {
                let both = |(a, b): (Vec<f32>, Vec<f32>)| [a, b].concat();
                vec![input(0).into_iter().zip(input(1)).map(both).collect()]
            }
            Op::Split { widths, .. } => {
                let left = input(0).iter().map(|row| row[..widths[0]].to_vec()).collect();
                let right = input(0).iter().map(|row| row[widths[0]..].to_vec()).collect();
                vec![left, right]
            }
            op => panic!("{} is not made here", op.name()),
        };
        values.extend(made);
    }
    values
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn random_graphs_equal_a_plain_evaluation(
        choices in choices(),
        lengths in prop::collection::vec((1usize..5, 0u8..3), 1..4),
    ) {
        let input = GraphInput::Tokens { vocabulary: VOCABULARY, context: 64 };
        let mut graph = GraphBuilder::new("random", input);
        let mut values = vec![graph.embed("embd", 6, 1.0).unwrap()];
        for choice in choices {
            if graph.width(values[choice.first.index(values.len())]) > 1 {
                add(&mut graph, &mut values, choice);
            }
        }
        let graph = graph.finish(OutputKind::HiddenStates, *values.last().unwrap()).unwrap();
        let weights = super::models::weights(&graph, edgeformer_core::Format::F32);
        let model = Arc::new(Model { graph, weights });

        let tokens: Vec<Vec<u32>> = lengths
            .iter()
            .enumerate()
            .map(|(span, (len, _))| (0..*len).map(|i| ((span * 3 + i * 2) % VOCABULARY) as u32).collect())
            .collect();
        let mut session = open(&model, 2, &options());
        let mut wants = BTreeMap::new();
        let spans: Vec<_> = lengths
            .iter()
            .zip(&tokens)
            .enumerate()
            .map(|(span, ((_, want), tokens))| {
                let want = [Want::Nothing, Want::Last, Want::All][*want as usize];
                wants.insert(span, want);
                text(session.cache().create().unwrap(), tokens, want)
            })
            .collect();
        let mut outputs = Outputs::default();
        session.run(&Step { spans: &spans }, &mut outputs).unwrap();

        for (span, tokens) in tokens.iter().enumerate() {
            let all = plain(&model, tokens).swap_remove(model.graph.output.value.index());
            let expected: Vec<f32> = match wants[&span] {
                Want::Nothing => Vec::new(),
                Want::Last => all[all.len() - 1].clone(),
                Want::All => all.concat(),
            };
            let got = outputs.span(span).data();
            prop_assert_eq!(got.len(), expected.len());
            for (got, expected) in got.iter().zip(&expected) {
                let near = (got - expected).abs() <= 1e-4 * expected.abs().max(1.0);
                prop_assert!(near || got == expected || expected.is_nan(), "{} {}", got, expected);
            }
        }
    }
}
