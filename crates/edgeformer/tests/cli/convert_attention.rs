//! `convert --attention`, by the built binary.

use std::fs;
use std::path::{Path, PathBuf};

use edgeformer_conformance::shared;
use serde_json::Value;
use tempfile::TempDir;

use super::support::{is_emulated, refusal, run, stdout};
use super::text;

/// A model and a text; none under an emulator, where reading it would take minutes.
fn stories() -> Option<(PathBuf, PathBuf)> {
    if is_emulated() {
        return None;
    }
    let model = shared("models/stories260k/stories260k-f32.gguf")?;
    Some((model, shared("data/tinystories-sample/tinystories_200k.txt")?))
}

fn embedded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/tiny/tiny-shakespeare.gguf")
}

fn convert(from: &Path, to: &Path, more: &[&str]) -> Value {
    let all = [&["convert", text(from), text(to), "--json", "--quiet"], more].concat();
    serde_json::from_str(&stdout(&all)).unwrap()
}

/// Perplexity after, as a multiple of that before.
fn ratio(done: &Value) -> f64 {
    let of = |when: &str| done["cost"][when]["perplexity"].as_f64().unwrap();
    of("after") / of("before")
}

#[test]
fn groups_are_calibrated_and_what_they_cost_is_told() {
    let Some((model, story)) = stories() else { return };
    let temporary = TempDir::new().unwrap();
    let out = temporary.path().join("grouped.gguf");
    let calibrated = |align: &str| {
        let all = [
            "--attention",
            "gqa",
            "--groups",
            "2",
            "--force",
            "--align",
            align,
            "--calibration",
            text(&story),
            "--chunks",
            "24",
        ];
        convert(&model, &out, &all)
    };
    let [plain, turned, principal] = ["plain", "procrustes", "principal"].map(calibrated);
    assert!(ratio(&turned) < ratio(&plain) && ratio(&principal) < ratio(&plain));
    assert!(ratio(&principal) > 1.0, "half the heads of so small a model are not free");
    let [before, after] = [0, 1].map(|at| principal["cache_bytes_per_token"][at].as_u64().unwrap());
    assert_eq!(before, 2 * after);
    assert_eq!(principal["layers"].as_array().unwrap().len(), 5);
    assert_eq!(principal["not_portable"], Value::Array(Vec::new()));
    assert_eq!(principal["cost"]["after"]["chunks"], 3, "one window in eight");
    let inspected: Value =
        serde_json::from_str(&stdout(&["inspect", "--json", "-m", text(&out)])).unwrap();
    assert!(inspected.to_string().contains("head_count_kv"));
}

#[test]
fn latents_are_made_of_a_folder_that_is_run_as_it_is() {
    let Some((_, story)) = stories() else { return };
    let Some(folder) = shared("models/stories260k/hf") else { return };
    let temporary = TempDir::new().unwrap();
    let out = temporary.path().join("latent.gguf");
    let all = [
        "convert",
        text(&folder),
        text(&out),
        "--attention",
        "mla",
        "--rank",
        "42",
        "--rope-dims",
        "8",
        "--calibration",
        text(&story),
        "--chunks",
        "16",
    ];
    let told = stdout(&all);
    assert!(told.contains("attention mla: 640 bytes of cache a token become 500"), "{told}");
    assert!(told.contains("EdgeFormer alone reads it: latents are not normalised"), "{told}");
    assert!(told.contains("on 510 tokens held out: it costs +"), "{told}");

    let portable =
        convert(&folder, &out, &[&all[3..], &["--norm", "portable", "--force"]].concat());
    assert_eq!(portable["not_portable"], Value::Array(Vec::new()));
    assert_eq!(portable["attention"], "mla");
}

#[test]
fn full_latents_write_what_the_model_writes() {
    let temporary = TempDir::new().unwrap();
    let out = temporary.path().join("latent.gguf");
    let model = embedded();
    let all = ["convert", text(&model), text(&out), "--attention", "mla"];
    let output = run(&all);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.contains("by its weights alone"), "{stderr}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("what it costs was not measured"), "{told}");
    let written = |model: &Path| {
        let model = text(model);
        stdout(&["generate", "To be", "-n", "20", "--temperature", "0", "--quiet", "-m", model])
    };
    assert_eq!(written(&out), written(&embedded()));
}

#[test]
fn options_of_one_conversion_do_not_stand_beside_the_other() {
    let told = |more: &[&str]| {
        let all = [&["convert", "in.gguf", "out.gguf"], more].concat();
        let output = run(&all);
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let mla = told(&["--attention", "mla", "--groups", "2"]);
    assert!(mla.contains("--groups belongs to --attention gqa"), "{mla}");
    let gqa = told(&["--attention", "gqa", "--groups", "2", "--norm", "exact"]);
    assert!(gqa.contains("--norm belongs to --attention mla"), "{gqa}");
    assert!(told(&["--attention", "gqa"]).contains("--groups <G>"));
    assert!(told(&["--groups", "2"]).contains("--attention"));
    assert!(told(&["--attention", "mla", "--chunks", "2"]).contains("--calibration"));
    assert!(told(&["--attention", "mla", "--rank", "0"]).contains("write 1 or more"));
    assert!(told(&["--attention", "mha"]).contains("gqa, mla"));
}

#[test]
fn what_cannot_be_converted_is_refused_and_nothing_is_written() {
    let temporary = TempDir::new().unwrap();
    let (out, short) = (temporary.path().join("out.gguf"), temporary.path().join("short.txt"));
    fs::write(&short, "To be, or not to be").unwrap();
    let embedded = embedded();
    let told = |more: &[&str]| {
        let all = [&["convert", text(&embedded), text(&out), "--quiet", "--attention"], more];
        let told = refusal(&all.concat(), 1);
        assert!(!out.exists(), "{told}");
        told
    };
    assert!(told(&["gqa", "--groups", "7"]).contains("7 groups do not divide"));
    assert!(told(&["mla", "--rank", "100000"]).contains("is possible"));
    assert!(told(&["mla", "--rope-dims", "3"]).contains("an even number"));
    let short = told(&["mla", "--calibration", text(&short)]);
    assert!(short.contains("short.txt: the text has"), "{short}");
    assert!(told(&["mla", "--calibration", "nowhere.txt"]).contains("nowhere.txt"));
}
