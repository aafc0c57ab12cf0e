//! Exported files are what the standard says, and what another runtime computes with them is what
//! the model's own library has computed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use edgeformer_backend_onnx::{check, export};
use edgeformer_conformance::shared;
use edgeformer_core::graph::GraphInput;
use edgeformer_core::{Format, Model, Tensor, Weight};
use edgeformer_models::safetensors::Safetensors;
use edgeformer_models::{OpenOptions, open_with};
use serde_json::json;

const CHECKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/check_export.py");

fn open(path: &Path) -> Model {
    let file = open_with(path, &OpenOptions { tokenizer: false }).unwrap();
    Model::clone(&file.model)
}

fn has_python() -> bool {
    let there = Command::new("python3").args(["-c", "import onnx, onnxruntime"]).output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        println!("skipped: python3 has no onnx and onnxruntime");
    }
    there
}

/// Exports a model and has Python compare what it computes with what is expected.
fn computes(model: &Model, expected: &Path, limit: f64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let done = export(model, &path, false).unwrap();
    assert_eq!(fs::metadata(&done.data).unwrap().len(), done.data_bytes);
    let tensors = Safetensors::open(expected).unwrap();
    let name = model.graph.output.kind.tensor_name();
    let values = |name: &str| tensors.tensor(name).unwrap().to_f32();
    let mut expected = json!({ "output": name, "values": values(name), "limit": limit });
    match model.graph.input {
        GraphInput::Tokens { .. } => {
            let ids = tensors.integers("input_ids").unwrap().unwrap();
            expected["input_ids"] = json!(ids.iter().collect::<Vec<_>>());
        }
        _ => expected["pixel_values"] = json!(values("pixel_values")),
    }
    let file = folder.path().join("expected.json");
    fs::write(&file, expected.to_string()).unwrap();
    let output = Command::new("python3").arg(CHECKER).args([&path, &file]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", model.graph.name);
}

#[test]
fn stock_onnxruntime_computes_what_the_models_library_did() {
    let Some(folder) = shared("fixtures/hf") else { return };
    if !has_python() {
        return;
    }
    for family in
        ["llama-gqa", "gemma2", "gpt2", "phi3", "qwen3-moe", "deepseek-v3-mla-moe", "bert", "vit"]
    {
        let folder = folder.join(family);
        println!("{family}");
        computes(&open(&folder), &folder.join("expected.safetensors"), 1e-4);
    }
}

#[test]
fn quantized_weights_stay_quantized() {
    let Some(folder) = shared("fixtures/gguf-blocks") else { return };
    if !has_python() {
        return;
    }
    for (format, limit) in [("q4_0", 2.5e-2), ("q8_0", 2.5e-2), ("f16", 2e-3)] {
        println!("{format}");
        let model = open(&folder.join(format!("{format}.gguf")));
        computes(&model, &folder.join(format!("{format}.expected.safetensors")), limit);
    }
}

fn small(format: Format) -> Model {
    use edgeformer_core::graph::{GraphBuilder, OutputKind};
    let input = GraphInput::Tokens { vocabulary: 64, context: 8 };
    let mut b = GraphBuilder::new("small", input);
    let x = b.embed("token_embd.weight", 32, 1.0).unwrap();
    let x = b.linear(x, "output", 64, false).unwrap();
    let graph = b.finish(OutputKind::Logits, x).unwrap();
    let mut model = edgeformer_conformance::random_model(graph, 1, |_| Format::F32).unwrap();
    let values = model.weights.get("output.weight").unwrap().to_f32();
    let tensor = Tensor::quantize(format, [64, 32], &values).unwrap();
    model.weights.insert("output.weight", Weight::whole(tensor));
    model
}

#[test]
fn what_is_there_is_replaced_when_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let first = export(&small(Format::F32), &path, false).unwrap();
    assert_eq!(check(&path).unwrap(), 2);
    let refused = export(&small(Format::F32), &path, false).unwrap_err().to_string();
    let refused = refused.replace(&folder.path().display().to_string(), "[folder]");
    insta::assert_snapshot!(refused, @"[folder]/model.onnx: is there already: --force replaces it");
    let second = export(&small(Format::Q4_0), &path, true).unwrap();
    assert!(second.data_bytes < first.data_bytes);
    // Nothing else is left behind.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    assert!(export(&small(Format::F32), &folder.path().join("no/model.onnx"), false).is_err());
}

#[test]
fn data_that_are_cut_or_linked_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let done = export(&small(Format::F32), &path, false).unwrap();
    let whole = fs::read(&done.data).unwrap();
    fs::write(&done.data, &whole[..whole.len() - 1]).unwrap();
    assert!(check(&path).unwrap_err().to_string().contains("which has"));
    #[cfg(unix)]
    {
        let elsewhere = folder.path().join("elsewhere");
        fs::rename(&done.data, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &done.data).unwrap();
        let refused = check(&path).unwrap_err().to_string();
        assert!(refused.contains("a link or no regular file"), "{refused}");
    }
}
