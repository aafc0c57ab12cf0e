//! Classifiers of texts: `tests/data/classifiers`, with the scores that transformers computes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use edgeformer_conformance::reference::evaluate;
use edgeformer_core::graph::{OutputKind, WeightInfo};
use edgeformer_core::{Input, Tensor};
use edgeformer_models::checkpoint::{Checkpoint, OutType};
use edgeformer_models::classifier::Classifier;
use edgeformer_models::initial::Initial;
use edgeformer_models::safetensors::{Safetensors, write_safetensors};
use edgeformer_models::text::AddSpecial;
use edgeformer_models::{ModelFile, open};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

const NAMES: [&str; 4] = ["bert", "gpt2", "llama", "qwen3"];

#[derive(Deserialize)]
struct Example {
    text: Option<String>,
    input_ids: Vec<u32>,
    logits: Vec<f64>,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/classifiers").join(name)
}

fn examples(name: &str) -> Vec<Example> {
    serde_json::from_slice(&fs::read(folder(name).join("expected.json")).unwrap()).unwrap()
}

/// The furthest that a score of a model is from what transformers computed.
fn error(model: &ModelFile, name: &str) -> f64 {
    let differences = examples(name).into_iter().flat_map(|example| {
        let found = evaluate(&model.model, Input::Tokens(&example.input_ids), 64).unwrap();
        assert_eq!(found.data().len(), example.logits.len(), "{name}");
        let pairs: Vec<f64> =
            found.data().iter().zip(&example.logits).map(|(a, b)| (a - b).abs()).collect();
        pairs
    });
    differences.fold(0.0, f64::max)
}

#[test]
fn scores_are_those_of_transformers() {
    for name in NAMES {
        let model = open(&folder(name)).unwrap();
        assert_eq!(model.model.graph.output.kind, OutputKind::ClassScores, "{name}");
        let error = error(&model, name);
        assert!(error < 1e-4, "{name}: {error}");
    }
}

#[test]
fn texts_become_the_tokens_of_transformers() {
    let tokenizer = open(&folder("bert")).unwrap().tokenizer.unwrap();
    for example in examples("bert") {
        let tokens = tokenizer.encode(&example.text.unwrap(), AddSpecial::AsModel, false).unwrap();
        assert_eq!(tokens, example.input_ids);
    }
}

/// The tensors of a folder, by name.
fn tensors(folder: &Path) -> Vec<(String, Tensor)> {
    let files = Safetensors::open(folder).unwrap();
    files.names().map(|name| (name.to_owned(), files.tensor(name).unwrap())).collect()
}

#[test]
fn folders_come_back_from_gguf() {
    for name in NAMES {
        let temporary = TempDir::new().unwrap();
        let (gguf, hf) = (temporary.path().join("model.gguf"), temporary.path().join("hf"));
        let there = Checkpoint::open(&folder(name)).unwrap_or_else(|error| panic!("{error}"));
        there.write_gguf(&gguf).unwrap();
        let back = Checkpoint::open(&gguf).unwrap().to_hf(OutType::Auto).unwrap();
        back.write(&hf, &mut |_, _| Ok(())).unwrap();

        let before = tensors(&folder(name));
        let after = tensors(&hf);
        assert_eq!(before.len(), after.len(), "{name}");
        for (tensor, values) in &before {
            let (_, found) = after.iter().find(|(other, _)| other == tensor).unwrap();
            let same = (found.shape(), found.bytes()) == (values.shape(), values.bytes());
            assert!(same, "{name}: {tensor}");
        }
        let first = open(&folder(name)).unwrap();
        for path in [&gguf, &hf] {
            let opened = open(path).unwrap_or_else(|error| panic!("{error}"));
            assert!(error(&opened, name) < 1e-4, "{}", path.display());
            let names = (0..first.hyper.classes().unwrap()).map(|id| format!("LABEL_{id}"));
            match first.labels.is_empty() {
                true => assert_eq!(opened.labels, names.collect::<Vec<_>>(), "{name}"),
                false => assert_eq!(opened.labels, first.labels, "{name}"),
            }
        }
        assert_eq!(open(&hf).unwrap().hyper, first.hyper, "{name}");
        let config: Value =
            serde_json::from_slice(&fs::read(hf.join("config.json")).unwrap()).unwrap();
        let stated: Value =
            serde_json::from_slice(&fs::read(folder(name).join("config.json")).unwrap()).unwrap();
        assert_eq!(config["architectures"], stated["architectures"], "{name}");
    }
}

/// What llama.cpp looks for in a file.
#[test]
fn files_have_the_names_of_llama_cpp() {
    for (name, tensors) in [
        ("llama", &["cls.output.weight"][..]),
        ("bert", &["cls.weight", "cls.bias", "cls.output.weight", "cls.output.bias"]),
    ] {
        let made = Checkpoint::open(&folder(name)).unwrap();
        assert!(tensors.iter().all(|tensor| made.tensor(tensor).is_some()), "{name}");
        assert!(made.tensor("output.weight").is_none(), "{name}");
        let labels = made.get(&format!("{name}.classifier.output_labels")).unwrap();
        let labels: Vec<_> = labels.as_array().unwrap().iter().collect();
        let labels: Vec<_> = labels.iter().filter_map(|label| label.as_str()).collect();
        assert_eq!(labels, ["calm", "glad", "sad"]);
        let pooling = made.get(&format!("{name}.pooling_type")).unwrap();
        assert_eq!(pooling.as_integer(), Some(4));
    }
}

/// A copy of a folder with other values in its configuration and without some tensors.
fn changed(name: &str, changes: Value, without: &str) -> TempDir {
    let copy = TempDir::new().unwrap();
    let mut config: Value =
        serde_json::from_slice(&fs::read(folder(name).join("config.json")).unwrap()).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    fs::write(copy.path().join("config.json"), config.to_string()).unwrap();
    let kept: Vec<_> =
        tensors(&folder(name)).into_iter().filter(|(name, _)| name != without).collect();
    let named: Vec<_> = kept.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    write_safetensors(&copy.path().join("model.safetensors"), &named).unwrap();
    copy
}

#[test]
fn what_does_not_fit_is_refused() {
    let two = json!({ "id2label": { "0": "calm", "1": "glad" } });
    let gap = json!({ "id2label": { "0": "calm", "1": "glad", "7": "sad" } });
    let folders = [
        changed("llama", two.clone(), ""),
        changed("bert", two, ""),
        changed("llama", json!({}), "score.weight"),
        changed("bert", json!({}), "bert.pooler.dense.weight"),
        changed("bert", json!({}), "classifier.bias"),
        changed("llama", gap, ""),
        // It says that it continues text, and has a head that does not.
        changed("llama", json!({ "architectures": ["LlamaForCausalLM"] }), ""),
    ];
    let refusal = |folder: &TempDir| {
        let text = open(folder.path()).unwrap_err().to_string();
        text.replace(&*folder.path().to_string_lossy(), "FOLDER")
    };
    let refusals: Vec<String> = folders.iter().map(refusal).collect();
    assert!(refusals.iter().all(|refusal| !refusal.contains('\n')));
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn a_file_with_names_of_other_classes_is_refused() {
    let mut made = Checkpoint::open(&folder("qwen3")).unwrap();
    let names = edgeformer_models::gguf::MetadataArray::strings(["one"]);
    made.set("qwen3.classifier.output_labels", names);
    let temporary = TempDir::new().unwrap();
    let path = temporary.path().join("model.gguf");
    made.write_gguf(&path).unwrap();
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains("has 1 names for 2 classes"), "{error}");
}

/// A fixture without its classifier: what it was before it got one, with the classifier's weights.
fn headless(name: &str) -> (TempDir, Vec<(String, Tensor)>) {
    let (bare, heads) = match name {
        "bert" => ("BertModel", ["classifier.weight", "classifier.bias"]),
        _ => ("LlamaForCausalLM", ["score.weight", ""]),
    };
    let changes = json!({
        "architectures": [bare], "id2label": null, "tie_word_embeddings": true,
    });
    let copy = changed(name, changes, "");
    let (head, rest): (Vec<_>, Vec<_>) =
        tensors(&folder(name)).into_iter().partition(|(name, _)| heads.contains(&name.as_str()));
    let named: Vec<_> = rest.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    write_safetensors(&copy.path().join("model.safetensors"), &named).unwrap();
    (copy, head)
}

/// With the classifier's own weights in the place of random ones, a model that gets a new
/// classifier is the fixture again, in memory and as a folder.
#[test]
fn a_new_classifier_stands_where_transformers_has_it() {
    for name in ["llama", "bert"] {
        let (base, head) = headless(name);
        let opened = open(base.path()).unwrap();
        assert_eq!(opened.hyper.classes(), None, "{name}");
        let asked = RefCell::new(Vec::new());
        let mut values = |info: &WeightInfo, initial: Initial| {
            asked.borrow_mut().push((info.name.clone(), initial));
            let ending = info.name.rsplit('.').next().unwrap();
            head.iter().find(|(name, _)| name.ends_with(ending)).unwrap().1.to_f32()
        };
        let labels = ["calm", "glad", "sad"].map(str::to_owned).to_vec();
        let classifier = Classifier::new(&opened, labels.clone(), &mut values).unwrap();
        // The pooler is the folder's, and the deviation that of its configuration.
        let weight = ("cls.output.weight".to_owned(), Initial::Normal(0.2));
        let bias = ("cls.output.bias".to_owned(), Initial::Constant(0.0));
        let expected = if name == "bert" { vec![weight, bias] } else { vec![weight] };
        assert_eq!(*asked.borrow(), expected, "{name}");

        let checkpoint = Checkpoint::open(base.path()).unwrap().with_classifier(&classifier);
        let made = classifier.on(opened).unwrap();
        assert!(error(&made, name) < 1e-4, "{name}");
        assert_eq!(made.labels, labels);
        let (temporary, again) =
            (TempDir::new().unwrap(), Classifier::new(&made, labels, &mut values));
        assert!(again.unwrap_err().to_string().contains("has a classifier of 3 classes already"));

        let (hf, gguf) = (temporary.path().join("hf"), temporary.path().join("model.gguf"));
        checkpoint.to_hf(OutType::Auto).unwrap().write(&hf, &mut |_, _| Ok(())).unwrap();
        checkpoint.write_gguf(&gguf).unwrap();
        for path in [&hf, &gguf] {
            let written = open(path).unwrap_or_else(|error| panic!("{error}"));
            assert!(error(&written, name) < 1e-4, "{}", path.display());
            assert_eq!(written.labels, made.labels);
        }
        let names: Vec<String> = tensors(&hf).into_iter().map(|(name, _)| name).collect();
        let known: Vec<String> = tensors(&folder(name)).into_iter().map(|(name, _)| name).collect();
        assert!(known.iter().all(|name| names.contains(name)) && known.len() == names.len());
    }
}
