//! The built binary.
#![allow(dead_code, reason = "not every file of tests needs all of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use edgeformer_conformance::shared;
use serde_json::Value;

/// The emulator that the tests run under, if they do.
fn emulator() -> Option<String> {
    let runner = std::env::var("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER").ok();
    let emulator = runner.as_deref().and_then(|runner| runner.split_whitespace().last());
    emulator.filter(|_| cfg!(target_arch = "aarch64")).map(str::to_owned)
}

/// Whether the tests run under an emulator: then long ones look at less.
pub fn is_emulated() -> bool {
    emulator().is_some()
}

/// `edgeformer`, under the emulator where the tests themselves run under one: a program that an
/// emulated one starts is not emulated by itself.
pub fn binary() -> Command {
    let binary = env!("CARGO_BIN_EXE_edgeformer");
    let Some(emulator) = emulator() else { return Command::new(binary) };
    let mut command = Command::new(emulator);
    command.arg(binary);
    command
}

/// A command, not yet started.
pub fn edgeformer(arguments: &[&str]) -> Command {
    let mut command = binary();
    command.args(arguments).stdin(Stdio::null());
    // What the developer's shell has set must not decide a test.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EDGEFORMER_") && name != "EDGEFORMER_ISA" {
            command.env_remove(name);
        }
    }
    // Nor what somebody has tuned.
    command.env("EDGEFORMER_PROFILE", "false");
    command
}

/// A command, run to its end.
pub fn run(arguments: &[&str]) -> Output {
    edgeformer(arguments).output().unwrap()
}

/// stdout of a run that must succeed.
pub fn stdout(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The one line on stderr of a run that must fail with that code.
pub fn refusal(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?}: results of a failed run");
    stderr
}

/// The encoder of the fixtures with a tokenizer of single letters.
pub fn encoder(folder: &Path) -> Option<PathBuf> {
    let bert = shared("fixtures/hf/bert")?;
    for file in ["config.json", "model.safetensors"] {
        fs::copy(bert.join(file), folder.join(file)).unwrap();
    }
    let letters = ('a'..='z').flat_map(|letter| [letter.to_string(), format!("##{letter}")]);
    let pieces = ["[PAD]".to_owned(), "[UNK]".to_owned()].into_iter().chain(letters);
    let vocabulary: serde_json::Map<String, Value> =
        pieces.zip(0..).map(|(piece, id)| (piece, Value::from(id))).collect();
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": null, "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary,
        },
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    Some(folder.to_owned())
}
