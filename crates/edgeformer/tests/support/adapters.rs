//! Logits of a model with an adapter, and what Python's `peft` computes.
#![allow(dead_code, reason = "not every file of tests needs all of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use edgeformer_conformance::shared;
use edgeformer_core::graph::Op;
use edgeformer_core::{Adapter, LowRank, Tensor};
use edgeformer_models::adapter::write_gguf;
use edgeformer_models::safetensors::Safetensors;
use edgeformer_models::{OpenOptions, open_with};
use tempfile::TempDir;

use super::support::stdout;

/// A small llama, an adapter that was trained for it, and their logits.
pub struct Reference {
    pub model: PathBuf,
    pub adapter: PathBuf,
    pub expected: PathBuf,
}

impl Reference {
    /// `None` where the reference data are absent.
    pub fn find() -> Option<Self> {
        let lora = shared("fixtures/train/lora")?;
        Some(Self {
            model: shared("fixtures/hf/llama-gqa")?,
            adapter: lora.join("final"),
            expected: lora.join("expected.safetensors"),
        })
    }

    /// The rows of tokens, and the logits of each.
    fn rows(&self) -> Vec<(String, Vec<f32>)> {
        let file = Safetensors::open(&self.expected).unwrap();
        let ids = file.integers("input_ids").unwrap().unwrap();
        let &[rows, tokens] = ids.shape() else { panic!("rows of tokens") };
        let logits = file.tensor("logits").unwrap().to_f32();
        let width = logits.len() / rows;
        let ids = ids.to_vec();
        let listed = ids
            .chunks(tokens)
            .map(|row| row.iter().map(i64::to_string).collect::<Vec<_>>().join(","));
        listed.zip(logits.chunks(width).map(<[f32]>::to_vec)).collect()
    }

    /// The largest difference to the logits of the reference.
    pub fn error(&self, model: &Path, more: &[&str]) -> f32 {
        let errors = self.rows().into_iter().map(|(tokens, expected)| {
            let found = logits(model, &tokens, more);
            assert_eq!(found.len(), expected.len());
            found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        });
        errors.fold(0.0, f32::max)
    }
}

/// The logits of a row of tokens.
pub fn logits(model: &Path, tokens: &str, more: &[&str]) -> Vec<f32> {
    let folder = TempDir::new().unwrap();
    let output = folder.path().join("logits.safetensors");
    let usual = ["logits", "-m", text(model), "--tokens", tokens, "-o", text(&output), "--quiet"];
    stdout(&[&usual, more].concat());
    Safetensors::open(&output).unwrap().tensor("logits").unwrap().to_f32()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The model in the repository.
pub fn embedded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/tiny/tiny-shakespeare.gguf")
}

/// Writes an adapter for some linear layers of a model, strong enough to change what it writes.
pub fn write_adapter(model: &Path, to: &Path) {
    write_block_adapter(model, to, 0);
}

/// The same for the linear layers of one block.
pub fn write_block_adapter(model: &Path, to: &Path, block: usize) {
    let file = open_with(model, &OpenOptions { tokenizer: false }).unwrap();
    let graph = &file.model.graph;
    let weights = graph.nodes.iter().filter_map(|node| match node.op {
        Op::Linear { weight, .. } => Some(graph.weight(weight)),
        _ => None,
    });
    let of_block = format!("blk.{block}.");
    let pairs = weights.filter(|info| info.name.starts_with(&of_block)).map(|info| {
        let matrix = |shape: [usize; 2]| {
            let values: Vec<f32> =
                (0..shape[0] * shape[1]).map(|i| ((i * 7919) % 101) as f32 / 500.0 - 0.1).collect();
            Tensor::from_f32(shape, &values).unwrap()
        };
        let pair =
            LowRank { a: matrix([4, info.shape[1]]), b: matrix([info.shape[0], 4]), scale: 1.0 };
        (info.name.clone(), pair)
    });
    let pairs: BTreeMap<_, _> = pairs.collect();
    let adapter = Adapter { name: "made".into(), pairs, backings: Vec::new() };
    write_gguf(&adapter, &file, to).unwrap();
}
