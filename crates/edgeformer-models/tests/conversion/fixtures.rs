//! Every folder of `fixtures/hf`, with what PyTorch computed.

use std::path::{Path, PathBuf};

use edgeformer_conformance::reference::evaluate;
use edgeformer_conformance::{relative_l2, shared};
use edgeformer_core::graph::OutputKind;
use edgeformer_core::{Input, Tensor};
use edgeformer_models::checkpoint::{Checkpoint, OutType};
use edgeformer_models::safetensors::Safetensors;
use edgeformer_models::{ModelFile, open};

use super::{RoundTrip, differences};

fn fixtures() -> Vec<PathBuf> {
    let Some(folder) = shared("fixtures/hf") else { return Vec::new() };
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn name(folder: &Path) -> &str {
    folder.file_name().unwrap().to_str().unwrap()
}

/// The distance of what a model computes from what PyTorch did.
fn error(model: &ModelFile, folder: &Path) -> f64 {
    let expected = Safetensors::open(&folder.join("expected.safetensors")).unwrap();
    let values = |name: &str| expected.tensor(name).unwrap().to_f32();
    let tokens: Vec<u32> = match expected.integers("input_ids").unwrap() {
        Some(ids) => ids.iter().map(|id| u32::try_from(id).unwrap()).collect(),
        None => Vec::new(),
    };
    let pixels = expected.tensor("pixel_values").map(|pixels| pixels.to_f32()).unwrap_or_default();
    let input = if tokens.is_empty() { Input::Pixels(&pixels) } else { Input::Tokens(&tokens) };
    let kind = model.model.graph.output.kind;
    let wanted = match kind {
        OutputKind::HiddenStates => values("last_hidden_state"),
        OutputKind::Logits | OutputKind::ClassScores => values("logits"),
    };
    let found = evaluate(&model.model, input, tokens.len() + 24).unwrap();
    let found: Vec<f32> = found.data().iter().map(|&value| value as f32).collect();
    let wanted: Vec<f64> = wanted.into_iter().map(f64::from).collect();
    assert_eq!(found.len(), wanted.len());
    relative_l2(&found, &wanted)
}

#[test]
fn the_gguf_computes_what_the_folder_does() {
    for folder in fixtures() {
        let trip = RoundTrip::of(&folder, OutType::Auto);
        for path in [&folder, &trip.gguf, &trip.hf] {
            let model = open(path).unwrap_or_else(|error| panic!("{error}"));
            let error = error(&model, &folder);
            assert!(error < 1e-4, "{}: {error}", path.display());
        }
    }
}

/// Tensors that GGUF has no place for: llama.cpp's converter leaves BERT's pooler out too.
fn left_out(name: &str) -> bool {
    name.starts_with("pooler.")
}

#[test]
fn tensors_come_back_byte_for_byte() {
    for folder in fixtures() {
        let trip = RoundTrip::of(&folder, OutType::Auto);
        let gemma = name(&folder).starts_with("gemma");
        let differ: Vec<String> = differences(&folder, &trip.hf)
            .into_iter()
            .filter(|tensor| !left_out(tensor))
            .filter(|tensor| !gemma || !tensor.ends_with("norm.weight"))
            .collect();
        assert_eq!(differ, [""; 0], "{}", name(&folder));
        assert_eq!(trip.hyper(), open(&folder).unwrap().hyper, "{}", name(&folder));
    }
}

/// The 1 in a norm of f32 costs at most half a step of a number between 1 and 2.
#[test]
fn gemmas_norms_come_back_as_near_as_f32_allows() {
    for folder in fixtures().into_iter().filter(|folder| name(folder).starts_with("gemma")) {
        let trip = RoundTrip::of(&folder, OutType::Auto);
        let (before, after) =
            (Safetensors::open(&folder).unwrap(), Safetensors::open(&trip.hf).unwrap());
        let norms = before.names().filter(|name| name.ends_with("norm.weight"));
        let norms: Vec<&str> = norms.collect();
        assert!(!norms.is_empty());
        for norm in norms {
            let values = |file: &Safetensors| file.tensor(norm).unwrap().to_f32();
            for (a, b) in values(&before).into_iter().zip(values(&after)) {
                assert!((a - b).abs() <= f32::EPSILON / 2.0 * (1.0 + a.abs()), "{norm}: {a} {b}");
            }
        }
    }
}

/// A copy of a folder in another format, as most released models are.
fn cast(folder: &Path, format: edgeformer_core::Format) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join("config.json"), copy.path().join("config.json")).unwrap();
    let tensors = Safetensors::open(&folder.join("model.safetensors")).unwrap();
    let narrow = |name: &str| {
        let tensor = tensors.tensor(name).unwrap();
        // DeepSeek keeps this one in f32 whatever the others are.
        let kept = name.ends_with("e_score_correction_bias");
        let format = if kept { tensor.format() } else { format };
        Tensor::quantize(format, tensor.shape(), &tensor.to_f32()).unwrap()
    };
    let list: Vec<(&str, Tensor)> = tensors.names().map(|name| (name, narrow(name))).collect();
    let list: Vec<(&str, &Tensor)> = list.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let path = copy.path().join("model.safetensors");
    edgeformer_models::safetensors::write_safetensors(&path, &list).unwrap();
    copy
}

/// Vectors and norms are f32 in GGUF, and bf16 again in the folder: Gemma's norms too.
#[test]
fn folders_of_half_precision_come_back_byte_for_byte() {
    for folder in fixtures() {
        for format in [edgeformer_core::Format::BF16, edgeformer_core::Format::F16] {
            let half = cast(&folder, format);
            let trip = RoundTrip::of(half.path(), OutType::Auto);
            let differ: Vec<String> = differences(half.path(), &trip.hf)
                .into_iter()
                .filter(|tensor| !left_out(tensor))
                .filter(|tensor| !is_tiny_norm(half.path(), tensor))
                .collect();
            assert_eq!(differ, [""; 0], "{} {format}", name(&folder));
        }
    }
}

/// Whether a Gemma norm holds a number that 1 + it has no room for.
fn is_tiny_norm(folder: &Path, tensor: &str) -> bool {
    let smallest = |values: Vec<f32>| values.into_iter().map(f32::abs).fold(1.0, f32::min);
    tensor.ends_with("norm.weight")
        && folder.join("config.json").to_str().is_some()
        && std::fs::read_to_string(folder.join("config.json")).unwrap().contains("gemma")
        && smallest(Safetensors::open(folder).unwrap().tensor(tensor).unwrap().to_f32())
            < 2f32.powi(-13)
}

#[test]
fn other_formats_are_as_good_as_they_are() {
    let limits =
        [(OutType::F32, 1e-4), (OutType::F16, 5e-3), (OutType::BF16, 4e-2), (OutType::Q8_0, 6e-2)];
    for folder in fixtures() {
        for (outtype, limit) in limits {
            let temporary = tempfile::tempdir().unwrap();
            let path = temporary.path().join("model.gguf");
            Checkpoint::open(&folder).unwrap().with_outtype(outtype).write_gguf(&path).unwrap();
            let error = error(&open(&path).unwrap(), &folder);
            // Where a router chooses experts, the nearest choices fall otherwise.
            let factor = if name(&folder).contains("moe") { 4.0 } else { 1.0 };
            assert!(error < factor * limit, "{} {outtype}: {error}", name(&folder));
        }
    }
}
