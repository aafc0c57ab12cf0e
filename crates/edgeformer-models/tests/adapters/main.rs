//! Adapters in files: written and read again, for models of every family in both kinds of files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod families;
mod refusals;
mod round_trip;

use std::path::Path;

use edgeformer_core::graph::{Op, WeightId};
use edgeformer_core::{Adapter, Graph, LowRank, Tensor};
use edgeformer_models::{ModelFile, OpenOptions, open_with};

fn open(path: &Path) -> ModelFile {
    open_with(path, &OpenOptions { tokenizer: false }).unwrap_or_else(|error| panic!("{error}"))
}

/// The model in the repository.
fn embedded() -> ModelFile {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets");
    open(&assets.join("tiny/tiny-shakespeare.gguf"))
}

/// The weights that are the matrices of linear layers alone.
fn linear(graph: &Graph) -> Vec<&str> {
    let weights = graph.nodes.iter().filter_map(|node| match node.op {
        Op::Linear { weight, .. } => Some(weight),
        _ => None,
    });
    let is_read_once =
        |id: &WeightId| graph.nodes.iter().filter(|n| n.op.weights().contains(id)).count() == 1;
    weights.filter(is_read_once).map(|id| graph.weight(id).name.as_str()).collect()
}

/// A matrix of numbers that follow from a seed.
fn matrix(shape: [usize; 2], seed: usize) -> Tensor {
    let values: Vec<f32> = (0..shape[0] * shape[1])
        .map(|i| ((i * 2_654_435_761 + seed * 40_503) % 1999) as f32 / 1000.0 - 1.0)
        .collect();
    Tensor::from_f32(shape, &values).unwrap()
}

/// A pair for that weight.
fn pair(graph: &Graph, name: &str, rank: usize, scale: f32) -> LowRank {
    let &[out, columns] = graph.weight(graph.weight_id(name).unwrap()).shape.as_slice() else {
        panic!("{name} is no matrix")
    };
    let seed = name.bytes().map(usize::from).sum();
    LowRank { a: matrix([rank, columns], seed), b: matrix([out, rank], seed + 1), scale }
}

fn adapter(pairs: impl IntoIterator<Item = (String, LowRank)>) -> Adapter {
    Adapter { name: "made".into(), pairs: pairs.into_iter().collect(), backings: Vec::new() }
}

/// Whether two adapters are of the same weights and products; scales to within `tolerance`.
fn assert_same(one: &Adapter, other: &Adapter, tolerance: f32) {
    let names = |adapter: &Adapter| adapter.pairs.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(one), names(other));
    for ((name, one), other) in one.pairs.iter().zip(other.pairs.values()) {
        assert_eq!(one.a.to_f32(), other.a.to_f32(), "A of {name}");
        let [b, again] = [one, other]
            .map(|pair| pair.b.to_f32().into_iter().map(|b| b * pair.scale).collect::<Vec<_>>());
        let near = |(b, again): (&f32, &f32)| (b - again).abs() <= tolerance * b.abs();
        assert!(b.iter().zip(&again).all(near), "B of {name}");
        assert_eq!(one.b.shape(), other.b.shape(), "{name}");
    }
}
