use std::fs;

use edgeformer_conformance::shared;
use edgeformer_core::Tensor;
use serde_json::{Value, json};

use super::*;
use crate::hf_config::tests::configs;
use crate::hf_config::tests::folders::{Folder, values};
use crate::preprocessor::{Resample, Resize};

/// Every fixture folder, every format, and both real models open.
#[test]
fn every_fixture_opens() {
    for folder in ["fixtures/hf", "fixtures/gguf-blocks", "models/stories260k"] {
        let Some(folder) = shared(folder) else { return };
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() || path.extension().is_some_and(|extension| extension == "gguf") {
                let opened = open(&path);
                assert!(opened.is_ok(), "{}", opened.unwrap_err());
            }
        }
    }
}

#[test]
fn a_real_classifier_has_names_and_says_how_images_are_prepared() {
    let Some(folder) = shared("models/vit-tiny-imagenet") else { return };
    let opened = open(&folder).unwrap();
    assert_eq!((opened.labels.len(), opened.labels[1].as_str()), (1000, "goldfish"));
    let preprocessor = opened.preprocessor.unwrap();
    assert_eq!(preprocessor.resize, Some(Resize::ShortestEdge(248)));
    assert_eq!(preprocessor.crop, Some([224, 224]));
    assert_eq!(preprocessor.resample, Resample::Bicubic);
}

/// Folders of every family's own weights open, and hold those weights.
#[test]
fn folders_of_all_families_open() {
    for (name, config) in configs::all() {
        let folder = Folder::of(&config);
        let opened = open(folder.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        for info in &opened.model.graph.weights {
            let weight = opened.model.weights.get(&info.name).unwrap();
            assert_eq!(weight.to_f32(), values(info), "{name}: {}", info.name);
        }
    }
}

#[test]
fn experts_may_be_fused_into_one_tensor() {
    let (apart, fused) = (Folder::of(&configs::qwen3_moe()), Folder::of(&configs::qwen3_moe()));
    let fused = fused.with_fused_experts();
    let (apart, fused) = (open(apart.path()).unwrap(), open(fused.path()).unwrap());
    for (name, weight) in apart.model.weights.iter() {
        let other = fused.model.weights.get(name).unwrap();
        assert_eq!((weight.shape(), weight.to_f32()), (other.shape(), other.to_f32()), "{name}");
    }
}

#[test]
fn older_names_and_prefixes_are_read() {
    let renamed = |from: &str, to: &str| Folder::of(&configs::bert()).renamed(from, to);
    open(renamed("LayerNorm.weight", "LayerNorm.gamma").path()).unwrap();
    let prefixed = Folder::of(&configs::bert()).prefixed("bert.");
    open(prefixed.path()).unwrap();
    let bare = Folder::of(&configs::gpt2()).renamed("transformer.", "");
    open(bare.path()).unwrap();
}

#[test]
fn known_leftovers_do_not_hinder() {
    let spare =
        |shape: [usize; 2]| Tensor::from_f32(shape, &vec![0.0; shape[0] * shape[1]]).unwrap();
    let tied = Folder::of(&configs::qwen2()).tensor("lm_head.weight", spare([64, 32]));
    open(tied.path()).unwrap();
    let further = Folder::of(&configs::deepseek_v3())
        .tensor("model.layers.2.eh_proj.weight", spare([32, 64]));
    open(further.path()).unwrap();
}

#[test]
fn every_refusal_names_file_place_and_remedy() {
    let llama = || Folder::of(&configs::llama());
    let zeros = |count: usize| Tensor::from_f32([count], &vec![0.0; count]).unwrap();
    let deeper = configs::with(configs::llama(), json!({ "num_hidden_layers": 3 }));
    let folders = [
        llama().without("model.layers.1.mlp.up_proj.weight"),
        llama().without("model.embed_tokens.weight"),
        llama().tensor("model.layers.0.self_attn.q_norm.weight", zeros(8)),
        llama().tensor("model.norm.weight", zeros(31)),
        llama().config(&deeper),
        llama().file("config.json", "{\"model_type\": \"llama\", \"rms_norm_eps\": NaN}"),
        llama().file("generation_config.json", "{\"eos_token_id\": \"</s>\"}"),
        Folder::of(&configs::qwen3_moe()).without("model.layers.1.mlp.experts.2.up_proj.weight"),
        Folder::of(&configs::vit()).file("preprocessor_config.json", "{\"size\": 224}"),
        Folder::of(&configs::vit()).file("preprocessor_config.json", "{\"image_std\": [1, 1]}"),
        Folder::empty(),
        Folder::empty().file("a.gguf", "").file("b.gguf", ""),
        Folder::empty().file("a.gguf", "GGUF"),
    ];
    let refusal = |folder: &Folder| {
        let text = open(folder.path()).unwrap_err().to_string();
        text.replace(&*folder.path().to_string_lossy(), "FOLDER")
    };
    let refusals: Vec<String> = folders.iter().map(refusal).collect();
    assert!(refusals.iter().all(|refusal| !refusal.contains('\n')));
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn defaults_of_generation_and_pooling_are_read() {
    let folder = Folder::of(&configs::with(configs::llama(), json!({ "eos_token_id": 2 }))).file(
        "generation_config.json",
        "{\"eos_token_id\": [7, 2], \"temperature\": 0.6, \"top_p\": 0.9}",
    );
    let opened = open(folder.path()).unwrap();
    assert_eq!(opened.end_tokens(), [7, 2]);
    assert_eq!((opened.generation.temperature, opened.generation.top_p), (Some(0.6), Some(0.9)));

    let pooling = json!({ "word_embedding_dimension": 32, "pooling_mode_mean_tokens": true });
    let encoder = Folder::of(&configs::bert()).file("1_Pooling/config.json", &pooling.to_string());
    assert_eq!(open(encoder.path()).unwrap().pooling, Some(Pool::Mean));
}

#[test]
fn labels_are_in_the_order_of_their_ids() {
    let labels = open(Folder::of(&configs::vit()).path()).unwrap().labels;
    assert_eq!(labels, ["cat", "dog", "bird"]);
    let gap: Value = json!({ "id2label": { "0": "cat", "2": "dog" } });
    let folder = Folder::of(&configs::with(configs::vit(), gap));
    assert!(open(folder.path()).unwrap_err().to_string().contains("id2label.2"));
}
