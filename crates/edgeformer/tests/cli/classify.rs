//! Classes of texts, with the scores that transformers computes.

use std::fs;
use std::path::{Path, PathBuf};

use edgeformer_models::safetensors::Safetensors;
use serde_json::Value;

use super::support::{edgeformer, refusal, run, stdout};
use super::text;

/// The fixtures of `edgeformer-models`.
fn folder(name: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../edgeformer-models/tests/data");
    data.join("classifiers").join(name)
}

fn expected(name: &str) -> Vec<Value> {
    serde_json::from_slice(&fs::read(folder(name).join("expected.json")).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn texts_get_the_scores_of_transformers() {
    let (folder, examples) = (folder("bert"), expected("bert"));
    let texts: Vec<&str> =
        examples.iter().map(|example| example["text"].as_str().unwrap()).collect();
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("texts.txt");
    fs::write(&file, format!("{}\n{}\n", texts[1], texts[2])).unwrap();
    let what = ["classify", "--text", texts[0], "--text-file", text(&file), "--quiet"];
    let way = ["--backend", "cpu", "--model", text(&folder)];
    let told = stdout(&[&what[..], &way, &["--json"]].concat());
    let told: Value = serde_json::from_str(&told).unwrap();
    let found = told["texts"].as_array().unwrap();
    assert_eq!(found.len(), 3);
    for (found, example) in found.iter().zip(&examples) {
        assert_eq!(found["text"], example["text"]);
        let logits = numbers(&example["logits"]);
        let all: f64 = logits.iter().map(|logit| logit.exp()).sum();
        let classes = found["classes"].as_array().unwrap();
        assert_eq!(classes.len(), 3);
        for class in classes {
            let index = class["index"].as_u64().unwrap() as usize;
            assert_eq!(class["name"], ["calm", "glad", "sad"][index]);
            assert!((class["score"].as_f64().unwrap() - logits[index]).abs() < 1e-4, "{class}");
            let share = logits[index].exp() / all;
            assert!((class["probability"].as_f64().unwrap() - share).abs() < 1e-4, "{class}");
        }
        assert!(classes[0]["score"].as_f64() >= classes[1]["score"].as_f64());
    }
    let table = stdout(&[&what[..], &way, &["--top", "1"]].concat());
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[2]), (6, texts[0], texts[1]));
    assert!(lines[1].ends_with("%  calm (0)"), "{table}");
}

/// A decoder's text may come in pieces, of which only the last has scores.
#[test]
fn decoders_get_the_scores_of_transformers_in_pieces_of_any_length() {
    let temporary = tempfile::tempdir().unwrap();
    let output = temporary.path().join("scores.safetensors");
    for name in ["llama", "qwen3", "gpt2"] {
        for example in expected(name) {
            let ids: Vec<String> =
                numbers(&example["input_ids"]).iter().map(f64::to_string).collect();
            for chunk in ["3", "64"] {
                stdout(&[
                    "logits",
                    "-m",
                    text(&folder(name)),
                    "--tokens",
                    &ids.join(","),
                    "-o",
                    text(&output),
                    "--quiet",
                    "--backend",
                    "cpu",
                    "--ubatch-size",
                    chunk,
                    "--cache-type-k",
                    "f32",
                    "--cache-type-v",
                    "f32",
                ]);
                let found = Safetensors::open(&output).unwrap().tensor("logits").unwrap();
                let wanted = numbers(&example["logits"]);
                assert_eq!(found.shape(), [1, wanted.len()], "{name}");
                for (found, wanted) in found.to_f32().into_iter().zip(wanted) {
                    assert!(
                        (f64::from(found) - wanted).abs() < 1e-4,
                        "{name} {chunk}: {found} {wanted}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_a_classifier_does_not_do_is_told() {
    let (bert, llama) = (folder("bert"), folder("llama"));
    let told = |arguments: &[&str]| refusal(&[arguments, &["--quiet"]].concat(), 1);
    for model in [text(&bert), text(&llama)] {
        assert!(told(&["generate", "x", "-m", model]).contains("writes no text"));
        assert!(told(&["embed", "x", "-m", model]).contains("does not embed text"));
    }
    assert!(told(&["classify", "--text", "x", "-m", text(&llama)]).contains("tokenizer"));
    let nothing = tempfile::NamedTempFile::new().unwrap();
    let error = told(&["classify", "--text-file", text(nothing.path()), "-m", text(&bert)]);
    assert!(error.contains("there is no text in it"), "{error}");
    assert_eq!(run(&["classify", "-m", text(&bert)]).status.code(), Some(2));
    let both = ["classify", "a.png", "--text", "x", "-m", text(&bert)];
    assert_eq!(run(&both).status.code(), Some(2));
    let output =
        edgeformer(&["classify", "--text", "x", "-m", text(&bert), "--ctx-size", "2"]).output();
    let error = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(error.contains("context"), "{error}");
}
