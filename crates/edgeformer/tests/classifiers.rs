//! The built binary lets classifiers of texts learn:
//!
//! ```text
//! cargo test -p edgeformer --features cli,train --test classifiers
//! ```
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use edgeformer_conformance::shared;
use edgeformer_core::Tensor;
use edgeformer_models::safetensors::{Safetensors, write_safetensors};
use serde_json::{Value, json};
use support::{refusal, stdout};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A classifier of three classes, from `edgeformer-models`.
fn bert() -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../edgeformer-models/tests/data");
    data.join("classifiers/bert")
}

/// The same without its classifier.
fn headless(folder: &Path) -> PathBuf {
    let to = folder.join("bert");
    fs::create_dir(&to).unwrap();
    for file in ["vocab.txt", "tokenizer_config.json"] {
        fs::copy(bert().join(file), to.join(file)).unwrap();
    }
    let config = fs::read(bert().join("config.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    config["architectures"] = json!(["BertModel"]);
    config["id2label"] = Value::Null;
    fs::write(to.join("config.json"), config.to_string()).unwrap();
    let files = Safetensors::open(&bert()).unwrap();
    let kept = files.names().filter(|name| !name.starts_with("classifier."));
    let kept: Vec<(&str, Tensor)> = kept.map(|name| (name, files.tensor(name).unwrap())).collect();
    let named: Vec<(&str, &Tensor)> = kept.iter().map(|(name, tensor)| (*name, tensor)).collect();
    write_safetensors(&to.join("model.safetensors"), &named).unwrap();
    to
}

/// The model in the repository: it continues text.
fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/tiny/tiny-shakespeare.gguf")
}

const ENDS: [&str; 10] = [
    "sat",
    "ran",
    "sat on the mat",
    "ran on the mat",
    "and the mat",
    "ran and ran",
    "sat and sat",
    "ran and sat",
    "sat and ran",
    "on a mat",
];

/// Texts about cats and dogs with a label for either.
fn records(folder: &Path, [cat, dog]: [Value; 2]) -> PathBuf {
    let path = folder.join("records.jsonl");
    let of = |end: &&str| {
        [("cat", &cat), ("dog", &dog)]
            .map(|(animal, label)| json!({"text": format!("the {animal} {end}"), "label": label}))
    };
    let lines: Vec<String> = ENDS.iter().flat_map(of).map(|record| record.to_string()).collect();
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn named(folder: &Path) -> PathBuf {
    records(folder, ["of-cats", "of-dogs"].map(Value::from))
}

fn arguments<'a>(model: &'a Path, data: &'a Path, to: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let paths = ["--model", text(model), "--data", text(data), "--output", text(to)];
    let way = ["--quiet", "--batch-size", "8", "--validation-split", "0.2"];
    [&["finetune"], &paths[..], &way, more].concat()
}

fn learned(model: &Path, data: &Path, to: &Path, more: &[&str]) -> Value {
    serde_json::from_str(&stdout(&[&arguments(model, data, to, more)[..], &["--json"]].concat()))
        .unwrap()
}

/// The likeliest class of a text, and its score.
fn class(model: &str, what: &str) -> (String, f64) {
    let told = stdout(&["classify", "--text", what, "--model", model, "--json", "--quiet"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let class = &told["texts"][0]["classes"][0];
    (class["name"].as_str().unwrap().to_owned(), class["score"].as_f64().unwrap())
}

/// What was learned is known by the result, and by what it is converted to.
fn check(done: &Value, folder: &Path) {
    let first = done["first_validation"].as_f64().unwrap();
    let best = done["best"][1].as_f64().unwrap();
    assert!(best < 0.5 * first, "{done}");
    assert_eq!(done["best_accuracy"], 1.0, "{done}");
    let result = done["result"].as_str().unwrap();
    let other = match Path::new(result).is_dir() {
        true => folder.join("other.gguf"),
        false => folder.join("other"),
    };
    let converted = Path::new(result).is_dir();
    if converted {
        stdout(&["convert", result, text(&other), "--quiet"]);
    }
    for end in ["sat on the mat", "ran"] {
        for (animal, expected) in [("cat", "of-cats"), ("dog", "of-dogs")] {
            let what = format!("the {animal} {end}");
            let (name, score) = class(result, &what);
            assert_eq!(name, expected, "{what}");
            if converted {
                let (again, same) = class(text(&other), &what);
                assert!(again == name && (same - score).abs() < 1e-3, "{score} {same}");
            }
        }
    }
}

#[test]
fn an_encoder_gets_a_new_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (headless(folder.path()), named(folder.path()));
    for (name, way) in [
        ("full", &["--method", "full", "--learning-rate", "3e-3"][..]),
        ("blocks", &["--method", "last-blocks", "--learning-rate", "3e-3"]),
        ("head", &["--method", "head", "--learning-rate", "2e-2"]),
    ] {
        let (at, steps) = (folder.path().join(name), ["--num-labels", "auto", "--max-steps", "60"]);
        fs::create_dir(&at).unwrap();
        let more = [way, &steps].concat();
        let done = learned(&model, &data, &at.join("run"), &more);
        check(&done, &at);
        let config = fs::read(at.join("run/model/config.json")).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(config["architectures"], json!(["BertForSequenceClassification"]));
        assert_eq!(config["id2label"], json!({"0": "of-cats", "1": "of-dogs"}));
        // The same command goes on where it ended.
        let again = learned(&model, &data, &at.join("run"), &more);
        assert_eq!((&again["steps"], &again["best"]), (&done["steps"], &done["best"]));
    }
}

#[test]
fn a_model_that_continues_text_gets_a_new_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let data = named(folder.path());
    // Its matrices are quantized: only what is behind the blocks learns.
    let way = ["--method", "head", "--max-steps", "60", "--learning-rate", "2e-2"];
    let way = [&way[..], &["--num-labels", "2"]].concat();
    let done = learned(&tiny(), &data, &folder.path().join("run"), &way);
    let first = done["first_validation"].as_f64().unwrap();
    assert!(done["best"][1].as_f64().unwrap() < first, "{done}");
    assert!(done["best_accuracy"].as_f64().unwrap() > 0.7, "{done}");
    let result = done["result"].as_str().unwrap();
    assert!(["of-cats", "of-dogs"].contains(&class(result, "the cat sat").0.as_str()));
    let error = refusal(&["generate", "x", "-m", result, "--quiet"], 1);
    assert!(error.contains("writes no text"), "{error}");

    let Some(stories) = shared("models/stories260k/hf") else { return };
    let way = ["--method", "full", "--max-steps", "40", "--learning-rate", "1e-3"];
    let way = [&way[..], &["--num-labels", "2"]].concat();
    let done = learned(&stories, &data, &folder.path().join("stories"), &way);
    check(&done, folder.path());
    assert!(folder.path().join("stories/model/config.json").is_file());
}

#[test]
fn a_value_is_learned_by_a_classifier_of_one_class() {
    let folder = tempfile::tempdir().unwrap();
    let model = headless(folder.path());
    let data = records(folder.path(), [json!(2.0), json!(-1.0)]);
    let way = ["--method", "full", "--learning-rate", "3e-3", "--max-steps", "80"];
    let way = [&way[..], &["--num-labels", "1"]].concat();
    let done = learned(&model, &data, &folder.path().join("run"), &way);
    let result = done["result"].as_str().unwrap();
    for (what, value) in [("the cat sat", 2.0), ("the dog ran", -1.0)] {
        let (name, score) = class(result, what);
        assert!(name == "LABEL_0" && (score - value).abs() < 0.5, "{what}: {score}");
    }
    let table = stdout(&["classify", "--text", "the cat sat", "-m", result, "--quiet"]);
    assert!(table.contains("LABEL_0") && !table.contains('%'), "{table}");
}

/// A classifier that has learned next to nothing is written as the folder that it was.
#[test]
fn a_classifier_is_written_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let data = records(folder.path(), ["glad", "sad"].map(Value::from));
    let expected: Value =
        serde_json::from_slice(&fs::read(bert().join("expected.json")).unwrap()).unwrap();
    let what = expected[0]["text"].as_str().unwrap();
    let highest = expected[0]["logits"][0].as_f64().unwrap();
    for method in ["full", "lora"] {
        let to = folder.path().join(method);
        let way = ["--method", method, "--max-steps", "1", "--learning-rate", "1e-9"];
        let done = learned(&bert(), &data, &to, &way);
        let result = done["result"].as_str().unwrap();
        let (name, score) = match method {
            "full" => class(result, what),
            _ => {
                let merged = folder.path().join("merged");
                let model = bert();
                stdout(&[
                    "merge",
                    "-m",
                    text(&model),
                    "--adapter",
                    result,
                    "-o",
                    text(&merged),
                    "--quiet",
                ]);
                class(text(&merged), what)
            }
        };
        assert!(name == "calm" && (score - highest).abs() < 1e-4, "{method}: {name} {score}");
    }
    let config =
        fs::read_to_string(folder.path().join("lora/adapter/adapter_config.json")).unwrap();
    assert!(config.contains("SEQ_CLS"), "{config}");

    let done = learned(
        &bert(),
        &data,
        &folder.path().join("learned"),
        &["--method", "full", "--max-steps", "60", "--learning-rate", "3e-3"],
    );
    let result = done["result"].as_str().unwrap();
    assert_eq!(class(result, "the cat sat").0, "glad");
    assert_eq!(class(result, "the dog ran").0, "sad");
}

#[test]
fn what_cannot_be_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (headless(folder.path()), named(folder.path()));
    let to = folder.path().join("run");
    let told = |model: &Path, more: &[&str]| refusal(&arguments(model, &data, &to, more), 1);
    let error = told(&model, &["--num-labels", "auto"]);
    assert!(error.contains("--method head"), "{error}");
    let error = told(&model, &["--method", "head", "--num-labels", "3"]);
    assert!(error.contains("has 2 classes (of-cats, of-dogs), and 3 are asked for"), "{error}");
    let error = told(&bert(), &["--method", "head", "--num-labels", "2"]);
    assert!(error.contains("has a classifier of 3 classes already"), "{error}");
    let error = told(&model, &["--method", "head"]);
    assert!(error.contains("--num-labels"), "{error}");
    let error = told(&bert(), &["--method", "head"]);
    assert!(error.contains("class \"of-cats\" is none of the model's"), "{error}");
    let plan =
        arguments(&model, &data, &to, &["--method", "full", "--num-labels", "auto", "--plan"]);
    let before = fs::read_dir(&to).map_or(0, Iterator::count);
    assert!(stdout(&plan).contains("total"));
    assert_eq!(fs::read_dir(&to).map_or(0, Iterator::count), before, "a plan writes nothing");
}
