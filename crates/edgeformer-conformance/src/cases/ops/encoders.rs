//! Bidirectional graphs: text, images, signals; pooling.

use std::sync::Arc;

use edgeformer_core::graph::{
    Attention, Graph, GraphBuilder, GraphInput, Mask, OutputKind, Pool, Unfold, Value,
};
use edgeformer_core::{Format, Input, Result};

use super::super::graphs::{VOCABULARY, WIDTH, attend, grouped};
use super::{Build, FLOAT};
use crate::bench::{Bench, Stop, exact};
use crate::compare::near;
use crate::feed;
use crate::random::{Random, random_model};
use crate::reference;
use crate::suite::{Case, Group};

pub(super) fn cases() -> Vec<Case> {
    vec![
        encoder("attention-bidirectional", || text(|_, x| Ok(x))),
        encoder("pool-mean", || text(|b, x| b.pool(x, Pool::Mean))),
        encoder("pool-class", || text(|b, x| b.pool(x, Pool::Class))),
        encoder("pool-last", || text(|b, x| b.pool(x, Pool::Last))),
        encoder("pool-max", || text(|b, x| b.pool(x, Pool::Max))),
        encoder("pool-head", || {
            text(|b, x| {
                let x = b.pool(x, Pool::Mean)?;
                b.linear(x, "head", 5, true)
            })
        }),
        encoder("unfold", || image([4, 4], [4, 4], [0, 0], |_, x| Ok(x))),
        encoder("unfold-overlap", || image([3, 4], [2, 3], [1, 2], |_, x| Ok(x))),
        encoder("unfold-signal", signal),
        encoder("prepend", || image([4, 4], [4, 4], [0, 0], |b, x| b.prepend(x, "class", 2))),
        encoder("prepend-position", || {
            image([4, 4], [4, 4], [0, 0], |b, x| {
                let x = b.prepend(x, "class", 1)?;
                b.position(x, "pos", 7, 0)
            })
        }),
        encoder("prepend-pool", || {
            image([4, 4], [4, 4], [0, 0], |b, x| {
                let x = b.prepend(x, "class", 1)?;
                let x = bidirectional(b, x, "blk.0")?;
                let x = b.pool(x, Pool::Class)?;
                b.layer_norm(x, "norm", 1e-5)
            })
        }),
    ]
}

fn encoder(name: &str, build: Build) -> Case {
    Case::new(Group::Ops, format!("ops/{name}"), move |bench| check(bench, build()?))
}

/// Runs several inputs alone and all in one step.
fn check(bench: &Bench<'_>, graph: Graph) -> Result<(), Stop> {
    let model = Arc::new(random_model(graph, 1, |_| Format::F32)?);
    let options = exact();
    let mut random = Random::new(7);
    let tokens: Vec<Vec<u32>> =
        [23, 1, 8].iter().map(|&length| random.tokens(length, VOCABULARY)).collect();
    let values: Vec<Vec<f32>> =
        (0..3).map(|_| (0..input_len(&model.graph)).map(|_| random.uniform()).collect()).collect();
    let inputs: Vec<Input<'_>> = match model.graph.input {
        GraphInput::Tokens { .. } => tokens.iter().map(|tokens| Input::Tokens(tokens)).collect(),
        GraphInput::Pixels { .. } => values.iter().map(|values| Input::Pixels(values)).collect(),
        GraphInput::Signal { .. } => values.iter().map(|values| Input::Signal(values)).collect(),
    };
    let mut session = bench.open(&model, &options)?;
    let batch = feed::together(session.as_mut(), &inputs)?;
    for (index, &input) in inputs.iter().enumerate() {
        let expected = reference::evaluate(&model, input, options.context)?;
        let alone = feed::together(session.as_mut(), &[input])?;
        near(&alone[0], expected.data(), FLOAT)
            .map_err(|stop| stop.at(format!("input {index}")))?;
        near(&batch[index], expected.data(), FLOAT)
            .map_err(|stop| stop.at(format!("input {index} among others")))?;
    }
    Ok(())
}

fn input_len(graph: &Graph) -> usize {
    match graph.input {
        GraphInput::Tokens { .. } => 0,
        GraphInput::Pixels { channels, size } => channels * size[0] * size[1],
        GraphInput::Signal { channels, samples } => channels * samples,
    }
}

fn bidirectional(b: &mut GraphBuilder, x: Value, name: &str) -> Result<Value> {
    attend(b, x, name, Attention { mask: Mask::Bidirectional, ..grouped(4, 2, 8) })
}

/// A text encoder of one layer with `head` behind it.
fn text(head: impl FnOnce(&mut GraphBuilder, Value) -> Result<Value>) -> Result<Graph> {
    let input = GraphInput::Tokens { vocabulary: VOCABULARY, context: 128 };
    let mut b = GraphBuilder::new("conformance", input);
    let x = b.embed("token_embd.weight", WIDTH, 1.0)?;
    let x = b.position(x, "pos.weight", 160, 0)?;
    let x = bidirectional(&mut b, x, "blk.0")?;
    let x = head(&mut b, x)?;
    b.finish(OutputKind::HiddenStates, x)
}

/// An image encoder of one layer over windows of an image 3 x 8 x 12; `tokens` may add some.
fn image(
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    tokens: impl FnOnce(&mut GraphBuilder, Value) -> Result<Value>,
) -> Result<Graph> {
    let (channels, size) = (3, [8, 12]);
    let mut b = GraphBuilder::new("conformance", GraphInput::Pixels { channels, size });
    let x = b.unfold(Unfold { channels, size, kernel, stride, padding })?;
    let x = b.linear(x, "patch", WIDTH, true)?;
    let x = tokens(&mut b, x)?;
    let x = bidirectional(&mut b, x, "blk.1")?;
    b.finish(OutputKind::HiddenStates, x)
}

fn signal() -> Result<Graph> {
    let (channels, samples) = (2, 50);
    let mut b = GraphBuilder::new("conformance", GraphInput::Signal { channels, samples });
    let unfold =
        Unfold { channels, size: [1, samples], kernel: [1, 7], stride: [1, 3], padding: [0, 2] };
    let x = b.unfold(unfold)?;
    let x = b.linear(x, "patch", WIDTH, true)?;
    let x = bidirectional(&mut b, x, "blk.0")?;
    let x = b.pool(x, Pool::Mean)?;
    b.finish(OutputKind::ClassScores, x)
}
