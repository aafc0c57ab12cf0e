//! The built binary, end to end.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adapters;
#[path = "../support/adapters.rs"]
mod adapters_of_tests;
mod budget;
mod cache;
mod classify;
mod convert;
mod convert_attention;
mod eval;
#[cfg(feature = "train")]
mod merge;
#[cfg(feature = "onnx")]
mod onnx;
mod packed;
mod prompt_cache;
mod quantize;
mod speculation;
#[path = "../support/mod.rs"]
mod support;
mod tune;
mod tune_window;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use edgeformer_conformance::shared;
use edgeformer_models::safetensors::Safetensors;
use support::{edgeformer, refusal, run, stdout};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_embedded_model_writes_readable_text() {
    let text = stdout(&["generate", "To be", "--seed", "1", "-n", "120"]);
    let words: Vec<&str> = text
        .split(|letter: char| !letter.is_alphabetic())
        .filter(|word| !word.is_empty())
        .collect();
    let common = [
        "the", "and", "to", "of", "I", "you", "my", "that", "a", "in", "is", "not", "be", "your",
        "with", "this",
    ];
    let known = words.iter().filter(|word| common.contains(word)).count();
    assert!(words.len() > 30, "{text}");
    assert!(known * 8 > words.len(), "{known} of {} words are common: {text}", words.len());
}

#[test]
fn the_same_seed_writes_the_same_text_on_any_number_of_threads() {
    let write = |threads| {
        stdout(&["generate", "ROMEO:", "--seed", "3", "-n", "60", "--threads", threads, "--quiet"])
    };
    assert_eq!(write("1"), write("2"));
    assert_eq!(write("3"), write("2"));
}

#[test]
fn stdout_is_the_text_alone_and_stderr_the_statistics() {
    let output = run(&["generate", "To be", "-n", "5", "--temperature", "0"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("tokens/s") && stderr.contains("first token"), "{stderr}");
    let quiet = run(&["generate", "To be", "-n", "5", "--temperature", "0", "--quiet"]);
    assert_eq!(quiet.stdout, output.stdout);
    assert!(quiet.stderr.is_empty());
    let echoed = stdout(&["generate", "To be", "-n", "5", "--temperature", "0", "--echo"]);
    assert_eq!(echoed.as_bytes(), [b"To be", output.stdout.as_slice()].concat());
}

#[test]
fn json_is_one_object() {
    let text = stdout(&["generate", "To be", "-n", "7", "--seed", "1", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["reason"], "length");
    assert_eq!(value["stats"]["generated_tokens"], 7);
    assert_eq!(value["tokens"].as_array().unwrap().len(), 7);
    assert!(value["report"]["decode_tokens_per_second"].as_f64().unwrap() > 0.0);
    assert!(!value["text"].as_str().unwrap().is_empty());
}

#[test]
fn prompts_come_from_stdin_too() {
    let mut child = edgeformer(&["generate", "-", "-n", "5", "--temperature", "0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"To be").unwrap();
    let piped = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(piped.stdout).unwrap(),
        stdout(&["generate", "To be", "-n", "5", "--temperature", "0"])
    );
}

#[test]
fn wrong_input_gets_one_line_and_exit_code_1() {
    assert!(refusal(&["generate", ""], 1).contains("empty"));
    assert!(refusal(&["generate", "x", "--model", "/nowhere.gguf"], 1).contains("/nowhere.gguf"));
    assert!(
        refusal(&["logits", "--tokens", "1,999999", "--output", "/tmp/never", "--quiet"], 1)
            .contains("999999")
    );
    assert!(refusal(&["generate", "x", "--backend", "abacus", "--quiet"], 1).contains("cpu"));
    #[cfg(not(feature = "plugins"))]
    assert!(refusal(&["devices", "--plugin", "/x.so"], 2).contains("feature `plugins`"));
    let long = "word ".repeat(2000);
    assert!(refusal(&["generate", &long, "--quiet"], 1).contains("--ctx-size"));
    let mut child = edgeformer(&["generate", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"ab\xff").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("byte 2 is not valid UTF-8"));
}

#[test]
fn a_context_that_does_not_fit_is_refused_with_one_that_does() {
    // More than any machine has: 16 million tokens for each of a thousand sequences.
    let mut command = edgeformer(&["generate", "x", "--ctx-size", "16000000", "--quiet"]);
    let output = command.env("EDGEFORMER_PARALLEL", "1000").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("16000000 tokens") && stderr.contains("--ctx-size to at most"),
        "{stderr}"
    );
}

#[test]
fn wrong_arguments_get_exit_code_2() {
    assert!(refusal(&["generate", "x", "--temprature", "1"], 2).contains("--temperature"));
    assert!(refusal(&["generate", "x", "--top-p", "7"], 2).contains("top_p"));
    assert!(refusal(&["logits", "--output", "x"], 2).contains("--tokens"));
}

#[test]
fn settings_come_from_file_environment_and_command_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("edgeformer.toml"),
        "max_tokens = 3\ntemperature = 0\nquiet = true\n",
    )
    .unwrap();
    let tokens = |command: &mut Command| {
        let output = command.current_dir(folder.path()).output().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        value["tokens"].as_array().unwrap().len()
    };
    assert_eq!(tokens(&mut edgeformer(&["generate", "To be", "--json"])), 3);
    assert_eq!(
        tokens(edgeformer(&["generate", "To be", "--json"]).env("EDGEFORMER_MAX_TOKENS", "4")),
        4
    );
    let all = ["generate", "To be", "--json", "--max-tokens", "5"];
    assert_eq!(tokens(edgeformer(&all).env("EDGEFORMER_MAX_TOKENS", "4")), 5);
    fs::write(folder.path().join("edgeformer.toml"), "max_token = 3\n").unwrap();
    let output = edgeformer(&["generate", "To be"]).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("did you mean \"max_tokens\"?"));
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let mut child = edgeformer(&["generate", "To be", "--quiet"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn plans_and_devices_are_machine_readable() {
    let plan: serde_json::Value =
        serde_json::from_str(&stdout(&["plan", "--json", "--ctx-size", "128"])).unwrap();
    assert_eq!(plan["session"]["context"], 128);
    let parts: u64 = ["weights", "cache", "scratch"]
        .iter()
        .map(|part| plan["footprint"][part].as_u64().unwrap())
        .sum();
    assert!(plan["total"].as_u64().unwrap() > parts && parts > 0);
    let devices: serde_json::Value = serde_json::from_str(&stdout(&["devices", "--json"])).unwrap();
    assert_eq!(devices["backends"][0]["backend"], "cpu");
    let device = &devices["backends"][0]["devices"][0];
    assert_eq!(device["id"], "cpu");
    let huge = device["facts"].as_array().unwrap().iter().find(|fact| fact[0] == "huge pages");
    let told = Path::new("/sys/kernel/mm/transparent_hugepage/enabled").exists();
    assert_eq!(huge.is_some(), told, "{device}");
    if let Some(huge) = huge {
        assert!(["always", "madvise", "never"].contains(&huge[1].as_str().unwrap()), "{huge}");
        let line = format!("  huge pages: {}\n", huge[1].as_str().unwrap());
        assert!(stdout(&["devices"]).contains(&line));
    }
}

#[test]
fn inspect_shows_tensors_and_graphs() {
    let listing = stdout(&["inspect"]);
    assert!(
        listing.contains("general.architecture") && listing.contains("token_embd.weight"),
        "{listing}"
    );
    assert!(stdout(&["inspect", "--graph"]).starts_with("graph llama: tokens("));
    assert!(stdout(&["inspect", "--graph", "mermaid"]).starts_with("flowchart TD"));
    let value: serde_json::Value = serde_json::from_str(&stdout(&["inspect", "--json"])).unwrap();
    assert!(value["tensors"].as_array().unwrap().len() > 10);
}

#[test]
fn help_texts_are_complete() {
    let whole = match (cfg!(feature = "onnx"), cfg!(feature = "train")) {
        (false, false) => Some("help"),
        (true, true) => Some("help_everything"),
        _ => None,
    };
    if let Some(name) = whole {
        insta::assert_snapshot!(name, stdout(&["--help"]));
    }
    for command in [
        "generate",
        "chat",
        "embed",
        "logits",
        "classify",
        "inspect",
        "devices",
        "plan",
        "pack",
        "convert",
        "tune",
        "tune-window",
    ] {
        insta::assert_snapshot!(format!("help_{command}"), stdout(&[command, "--help"]));
    }
}

/// The stories that a real model must continue as the reference does.
fn story(model: &str) -> Option<String> {
    let model = shared(&format!("models/stories260k/{model}"))?;
    let prompt = "Once upon a time, there was a";
    Some(stdout(&[
        "generate",
        "--model",
        text(&model),
        "--temperature",
        "0",
        "--max-tokens",
        "200",
        "--echo",
        prompt,
    ]))
}

#[test]
fn stories260k_continues_as_the_reference() {
    let Some(expected) = shared("models/stories260k/hf/expected.txt") else { return };
    let expected = fs::read_to_string(expected).unwrap();
    for model in ["stories260k-f32.gguf", "hf"] {
        assert_eq!(story(model).unwrap().trim_end(), expected.trim_end(), "{model}");
    }
}

#[test]
fn quantized_stories_are_readable() {
    for model in ["stories260k-q8_0.gguf", "stories260k-q4_0.gguf"] {
        let Some(story) = story(model) else { return };
        let known = ["the", "was", "to", "and", "a", "she", "he", "said", "her", "his"];
        let words: Vec<&str> = story.split_whitespace().collect();
        let common =
            words.iter().filter(|word| known.contains(&word.to_lowercase().as_str())).count();
        assert!(common * 5 > words.len(), "{model}: {story}");
    }
}

fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |value: f32| f64::from(value).powi(2);
    let difference: f64 = found.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    (difference / expected.iter().map(|&value| square(value)).sum::<f64>()).sqrt()
}

fn read(path: &Path, tensor: &str) -> Vec<f32> {
    Safetensors::open(path).unwrap().tensor(tensor).unwrap().to_f32()
}

#[test]
fn logits_equal_the_reference_in_every_chunking() {
    let Some(folder) = shared("fixtures/hf/gemma3") else { return };
    let expected = folder.join("expected.safetensors");
    let target = tempfile::tempdir().unwrap();
    for chunk in ["512", "7", "1"] {
        let output: PathBuf = target.path().join(format!("{chunk}.safetensors"));
        stdout(&[
            "logits",
            "-m",
            text(&folder),
            "--tokens",
            text(&expected),
            "--chunk",
            chunk,
            "-o",
            text(&output),
        ]);
        let error = relative_error(&read(&output, "logits"), &read(&expected, "logits"));
        assert!(error < 1e-4, "chunk {chunk}: {error}");
    }
}

#[test]
fn encoders_write_hidden_states_and_vectors_of_unit_length() {
    let Some(folder) = shared("fixtures/hf/bert") else { return };
    let expected = folder.join("expected.safetensors");
    let target = tempfile::tempdir().unwrap();
    let output = target.path().join("states.safetensors");
    stdout(&["logits", "-m", text(&folder), "--tokens", text(&expected), "-o", text(&output)]);
    let error =
        relative_error(&read(&output, "last_hidden_state"), &read(&expected, "last_hidden_state"));
    assert!(error < 1e-4, "{error}");
    assert!(
        refusal(&["generate", "x", "-m", text(&folder), "--quiet"], 1).contains("writes no text")
    );
}

#[test]
fn images_get_the_class_of_the_reference() {
    let Some(model) = shared("models/vit-tiny-imagenet") else { return };
    let expected: serde_json::Value =
        serde_json::from_slice(&fs::read(model.join("expected.json")).unwrap()).unwrap();
    let expected = expected.as_object().unwrap();
    // An image takes half a minute under emulation.
    let count = if support::is_emulated() { 1 } else { expected.len() };
    let images: Vec<String> = expected
        .keys()
        .take(count)
        .map(|name| text(&model.join("images").join(name)).to_string())
        .collect();
    let mut arguments = vec!["classify", "--json", "--top", "1", "-m", text(&model)];
    arguments.extend(images.iter().map(String::as_str));
    let value: serde_json::Value = serde_json::from_str(&stdout(&arguments)).unwrap();
    let found = value["images"].as_array().unwrap();
    assert_eq!(found.len(), count);
    for (found, (name, expected)) in found.iter().zip(expected) {
        assert_eq!(found["classes"][0]["index"], expected["class"], "{name}: {found}");
        assert_eq!(found["classes"][0]["name"], expected["label"], "{name}");
    }
}

#[test]
fn pixels_give_the_scores_of_the_reference() {
    let Some(folder) = shared("fixtures/hf/vit") else { return };
    let expected = folder.join("expected.safetensors");
    let target = tempfile::tempdir().unwrap();
    let output = target.path().join("scores.safetensors");
    stdout(&["logits", "-m", text(&folder), "--pixels", text(&expected), "-o", text(&output)]);
    let error = relative_error(&read(&output, "logits"), &read(&expected, "logits"));
    assert!(error < 1e-4, "{error}");
}
