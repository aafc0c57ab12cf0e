//! `--adapter`: a low-rank adapter beside a model's weights.

use std::fs;
use std::path::Path;
use std::process::Command;

use edgeformer_models::adapter::{AdapterFile, PeftOptions, write_gguf, write_peft};
use edgeformer_models::{OpenOptions, open_with};
use tempfile::TempDir;

use super::adapters_of_tests::{Reference, embedded, logits, write_adapter};
use super::support::{edgeformer, refusal, run, stdout};
use super::text;

/// Differences to logits of torch, whose size is about 3.
const TOLERANCE: f32 = 1e-4;

#[test]
fn logits_equal_the_reference_from_both_kinds_of_files() {
    let Some(reference) = Reference::find() else { return };
    let temporary = TempDir::new().unwrap();
    let at = |name: &str| temporary.path().join(name);
    let adapter = text(&reference.adapter);
    let file = at("model.gguf");
    stdout(&["convert", text(&reference.model), text(&file), "--quiet"]);
    let opened = open_with(&reference.model, &OpenOptions { tokenizer: false }).unwrap();
    let made = AdapterFile::open(&reference.adapter).unwrap().for_model(&opened).unwrap();
    write_gguf(&made, &opened, &at("lora.gguf")).unwrap();
    write_peft(&made, &opened, &at("peft"), &PeftOptions::default()).unwrap();

    for model in [&reference.model, &file] {
        for adapter in [&reference.adapter, &at("lora.gguf"), &at("peft")] {
            let error = reference.error(model, &["--adapter", text(adapter)]);
            assert!(error < TOLERANCE, "{} {}: {error}", model.display(), adapter.display());
        }
    }
    // What is halved twice is whole; without it, or with none of it, the model is another.
    let half = format!("{adapter}:0.5");
    let error = reference.error(&file, &["--adapter", &half, "--adapter", &half]);
    assert!(error < TOLERANCE, "{error}");
    assert!(reference.error(&file, &["--adapter", &half]) > 100.0 * TOLERANCE);
    let none = logits(&file, "5,6,7", &["--adapter", &format!("{adapter}:0")]);
    assert_eq!(none, logits(&file, "5,6,7", &[]));
}

#[test]
fn the_base_may_be_quantized() {
    let Some(reference) = Reference::find() else { return };
    let temporary = TempDir::new().unwrap();
    let file = temporary.path().join("q8_0.gguf");
    stdout(&["convert", text(&reference.model), text(&file), "--quiet", "--outtype", "q8_0"]);
    let with = reference.error(&file, &["--adapter", text(&reference.adapter)]);
    let without = reference.error(&file, &[]);
    assert!(20.0 * with < without, "{with} {without}");
}

#[test]
fn text_chunks_and_threads_do_not_matter() {
    let temporary = TempDir::new().unwrap();
    let lora = temporary.path().join("lora.gguf");
    write_adapter(&embedded(), &lora);
    let write = |more: &[&str]| {
        let usual = ["generate", "To be, or not to be", "-n", "30", "--seed", "3", "--quiet"];
        stdout(&[&usual, more].concat())
    };
    let adapter = ["--adapter", text(&lora)];
    let adapted = write(&adapter);
    assert_ne!(adapted, write(&[]));
    for more in [["--threads", "1"], ["--chunk", "3"], ["--backend", "cpu"]] {
        assert_eq!(write(&[&adapter[..], &more].concat()), adapted, "{more:?}");
    }
    let none = format!("{}:0", text(&lora));
    assert_eq!(write(&["--adapter", &none]), write(&[]));
    // As a setting of the environment.
    let arguments = ["generate", "To be, or not to be", "-n", "30", "--seed", "3", "--quiet"];
    let mut command = edgeformer(&arguments);
    let setting = format!("[{:?}]", text(&lora));
    let output = command.env("EDGEFORMER_ADAPTER", setting).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), adapted);

    let weights = |more: &[&str]| {
        let plan = stdout(&[&["plan", "--json", "--no-packed-file"], more].concat());
        let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
        plan["footprint"]["weights"].as_u64().unwrap()
    };
    assert!(weights(&adapter) > weights(&[]));
    let graph = stdout(&[&["inspect", "--graph"], &adapter[..]].concat());
    assert!(graph.contains("blk.0.attn_q.weight.lora_a[4, "), "{graph}");
}

#[test]
fn what_is_kept_of_the_model_is_not_taken_for_the_adapted_one() {
    let temporary = TempDir::new().unwrap();
    let at = |name: &str| temporary.path().join(name);
    let model = at("tiny.gguf");
    fs::copy(embedded(), &model).unwrap();
    write_adapter(&model, &at("lora.gguf"));
    let lora = at("lora.gguf");
    let usual = ["-m", text(&model), "--quiet"];
    let adapted = [&usual[..], &["--adapter", text(&lora)]].concat();
    let write = |arguments: &[&str], more: &[&str]| {
        let prompt = ["generate", "To be", "-n", "12", "--temperature", "0"];
        run(&[&prompt, arguments, more].concat())
    };
    let expected = write(&adapted, &["--no-packed-file"]);

    // A saved prompt.
    let cache = at("prompt.cache");
    assert!(write(&usual, &["--prompt-cache", text(&cache)]).status.success());
    let refused = write(&adapted, &["--prompt-cache", text(&cache)]);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("another model"), "{told}");

    // A packed file beside the model is the model's, one that is named may be the adapted one's.
    if stdout(&["devices"]).contains("instruction set: scalar") {
        return;
    }
    assert!(run(&[&["pack"], &usual[..]].concat()).status.success());
    let found = write(&adapted, &[]);
    assert_eq!((&found.stdout, found.stderr.is_empty()), (&expected.stdout, true));
    let told = refusal(&[&["pack"], &adapted[..]].concat(), 2);
    assert!(told.contains("name another with --output"), "{told}");
    let packed = at("adapted.packed");
    assert!(run(&[&["pack"], &adapted[..], &["-o", text(&packed)]].concat()).status.success());
    let named = ["--packed-file", text(&packed)];
    assert_eq!(write(&adapted, &named).stdout, expected.stdout);
    let told = stdout(&[&["plan", "--explain"], &adapted[..], &named].concat());
    assert!(told.contains("weights mapped as packed in"), "{told}");
    let told = String::from_utf8(write(&usual, &named).stderr).unwrap();
    assert!(told.contains("adapted.packed ignored"), "{told}");
}

#[test]
fn wrong_adapters_are_told() {
    let temporary = TempDir::new().unwrap();
    let at = |name: &str| temporary.path().join(name);
    let lora = at("lora.gguf");
    write_adapter(&embedded(), &lora);
    let lora = text(&lora);
    let told =
        |adapter: &str, code| refusal(&["generate", "x", "--quiet", "--adapter", adapter], code);
    assert!(told(&format!("{lora}:nan"), 2).contains("no finite number"));
    assert!(told(":1", 2).contains("names no adapter"));
    assert!(told("/nowhere/lora.gguf", 1).contains("/nowhere/lora.gguf"));
    assert!(told(text(temporary.path()), 1).contains("holds no adapter_config.json"));
    assert!(told(text(&embedded()), 1).contains("general.type"));
    let output = at("small.gguf");
    for arguments in [
        ["quantize", text(&embedded()), text(&output), "--format", "q8_0"],
        ["calibrate", "--text", text(&embedded()), "-o", text(&output)],
    ] {
        let told = refusal(&[&arguments[..], &["--adapter", lora]].concat(), 2);
        assert!(told.contains("edgeformer merge makes such a model first"), "{told}");
    }
    let Some(reference) = Reference::find() else { return };
    let other = told(text(&reference.adapter), 1);
    assert!(other.contains("it belongs to another model") && other.lines().count() == 1, "{other}");
}

/// What the Python side loads and computes.
const SCRIPT: &str = r#"
import sys, torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
model, adapter, expected = sys.argv[1:]
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), adapter)
expected = load_file(expected)
with torch.no_grad():
    found = model(expected["input_ids"]).logits
print(float((found - expected["logits"]).abs().max()))
"#;

#[test]
fn python_loads_what_is_written() {
    let Some(reference) = Reference::find() else { return };
    let has = Command::new("python3").args(["-c", "import peft, transformers"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: Python has no peft here");
        return;
    }
    let temporary = TempDir::new().unwrap();
    let folder = temporary.path().join("peft");
    let opened = open_with(&reference.model, &OpenOptions { tokenizer: false }).unwrap();
    let made = AdapterFile::open(&reference.adapter).unwrap().for_model(&opened).unwrap();
    write_peft(&made, &opened, &folder, &PeftOptions::default()).unwrap();
    let paths: [&Path; 3] = [&reference.model, &folder, &reference.expected];
    let output = Command::new("python3").arg("-c").arg(SCRIPT).args(paths).output().unwrap();
    let found = String::from_utf8_lossy(&output.stdout);
    let error: f32 = found
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert!(error < TOLERANCE, "{error}");
}
