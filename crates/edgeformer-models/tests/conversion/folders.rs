//! Folders and files that are damaged, or that the other form cannot state.

use std::path::Path;

use edgeformer_conformance::shared;
use edgeformer_models::checkpoint::{Checkpoint, OutType};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A copy of a fixture with other values in its configuration.
fn changed(name: &str, changes: Value) -> Option<TempDir> {
    let source = shared(&format!("fixtures/hf/{name}"))?;
    let folder = TempDir::new().unwrap();
    std::fs::copy(source.join("model.safetensors"), folder.path().join("model.safetensors"))
        .unwrap();
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(source.join("config.json")).unwrap()).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    Some(folder)
}

/// Why a folder is refused, without its place.
fn refusal(folder: &Path) -> String {
    let error = Checkpoint::open(folder).expect_err("is refused").to_string();
    error.replace(folder.to_str().unwrap(), "…")
}

#[test]
fn what_gguf_cannot_state_is_refused() {
    let Some(relu) = changed("llama-gqa", json!({"hidden_act": "relu"})) else { return };
    insta::assert_snapshot!(refusal(relu.path()), @"…/config.json: file: says `activation: Relu`, which GGUF cannot state of llama models: it would become `activation: Silu`");
    let experts = changed("qwen3-moe", json!({"norm_topk_prob": false})).unwrap();
    insta::assert_snapshot!(refusal(experts.path()), @"…/config.json: file: says `normalise: false`, which GGUF cannot state of qwen3-moe models: it would become `normalise: true`");
}

#[test]
fn damaged_folders_are_told() {
    let Some(wide) = changed("llama-gqa", json!({"intermediate_size": 96})) else { return };
    insta::assert_snapshot!(refusal(wide.path()), @r#"…/model.safetensors: tensor "model.layers.0.mlp.gate_proj.weight": has shape [176, 64], config.json makes it [96, 64]: one of them is wrong"#);
    let unknown = changed("llama-gqa", json!({"model_type": "mamba"})).unwrap();
    assert!(refusal(unknown.path()).contains("is \"mamba\", an unknown architecture"));
    let deep = changed("qwen2", json!({"num_hidden_layers": 3})).unwrap();
    insta::assert_snapshot!(refusal(deep.path()), @r#"…/model.safetensors: tensor "model.layers.2.input_layernorm.weight": is missing: qwen2 models need it; compare config.json with the tensors"#);
    let empty = TempDir::new().unwrap();
    insta::assert_snapshot!(refusal(empty.path()), @"…: folder: holds neither config.json nor a .gguf file: name a model's folder or file");
    std::fs::write(deep.path().join("tokenizer.json"), "{").unwrap();
    std::fs::write(deep.path().join("config.json"), "{").unwrap();
    assert!(refusal(deep.path()).contains("config.json: line 1"));
}

#[test]
fn damaged_tokenizers_are_told() {
    let Some(folder) = changed("llama-gqa", json!({})) else { return };
    std::fs::write(folder.path().join("tokenizer.json"), "{").unwrap();
    assert!(refusal(folder.path()).contains("tokenizer.json: line 1"));
    let words =
        json!({"model": {"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0, "b": 1}}});
    std::fs::write(folder.path().join("tokenizer.json"), words.to_string()).unwrap();
    insta::assert_snapshot!(refusal(folder.path()), @"…: tokenizer: is neither byte-level BPE, SentencePiece's BPE nor WordPiece: keep the folder for it");
}

#[test]
fn a_file_with_a_tensor_missing_makes_no_folder() {
    let Some(source) = shared("fixtures/hf/deepseek-v3-mla-moe") else { return };
    let mut checkpoint = Checkpoint::open(&source).unwrap();
    checkpoint.tensors.retain(|tensor| tensor.name() != "blk.1.attn_v_b.weight");
    let error = checkpoint.to_hf(OutType::Auto).unwrap_err().to_string();
    assert!(error.contains("is missing"), "{error}");
    let quantized = Checkpoint::open(&source).unwrap().to_hf(OutType::Q8_0).unwrap_err();
    assert!(quantized.to_string().contains("q8_0 is no float format"));
}
