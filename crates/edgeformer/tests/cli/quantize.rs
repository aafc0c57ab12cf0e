//! `quantize` and `calibrate`: smaller files of the embedded model, by the built binary.

use std::fs;
use std::path::{Path, PathBuf};

use edgeformer_conformance::shared;
use edgeformer_core::{Format, Tensor};
use edgeformer_models::checkpoint::{Checkpoint, LazyTensor, OutType};
use edgeformer_models::gguf::Gguf;
use serde_json::Value;
use tempfile::TempDir;

use super::support::{is_emulated, refusal, stdout};
use super::text;

/// The embedded model in floats, and a text in its manner.
fn floats(folder: &TempDir) -> (PathBuf, PathBuf) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/tiny/tiny-shakespeare.gguf");
    let (model, text) = (folder.path().join("floats.gguf"), folder.path().join("text.txt"));
    Checkpoint::open(&path).unwrap().with_outtype(OutType::F32).write_gguf(&model).unwrap();
    let line = "KING RICHARD:\nWhat says my lord? the people and the crown are gone to thee.\n\n";
    fs::write(&text, line.repeat(24)).unwrap();
    (model, text)
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(&[arguments, &["--json", "--quiet"]].concat())).unwrap()
}

fn divergence(model: &Path, reference: &Path, of: &Path) -> f64 {
    let arguments = ["eval", "kl", "-m", text(model), "--reference", text(reference), "--text"];
    json(&[&arguments[..], &[text(of), "-c", "64", "--chunks", "6"]].concat())["kl_mean"]
        .as_f64()
        .unwrap()
}

#[test]
fn a_mixture_is_smaller_runs_and_says_what_it_is() {
    let folder = TempDir::new().unwrap();
    let (model, words) = floats(&folder);
    let out = folder.path().join("q4_k_m.gguf");
    let report = json(&["quantize", text(&model), text(&out), "--format", "Q4_K_M"]);
    assert_eq!((&report["format"], &report["method"]), (&"q4_k_m".into(), &"kquant".into()));
    assert_eq!(report["bytes"].as_u64(), Some(fs::metadata(&out).unwrap().len()));
    let bits = report["bits_per_weight"].as_f64().unwrap();
    assert!((4.5..8.0).contains(&bits), "{bits}");
    let fallen = report["tensors"].as_array().unwrap().iter().filter(|t| t["fallback"].is_string());
    assert_eq!(report["fallbacks"].as_u64(), Some(fallen.count() as u64));
    assert!(report["fallbacks"].as_u64() > Some(0), "rows of 192 are no blocks of 256");

    let gguf = Gguf::open(&out).unwrap();
    assert_eq!(gguf.metadata().u32("general.file_type").unwrap(), Some(15));
    assert_eq!(gguf.info("blk.2.ffn_down.weight").unwrap().format(), Format::Q6K);
    assert!(divergence(&out, &model, &words) < 0.1);
}

#[test]
fn what_fell_back_is_counted() {
    let folder = TempDir::new().unwrap();
    let (model, _) = floats(&folder);
    let out = folder.path().join("out.gguf");
    let told = stdout(&["quantize", text(&model), text(&out), "--format", "q4_k_m", "--quiet"]);
    let fallen: Vec<&str> = told.lines().filter(|line| line.contains("no whole blocks")).collect();
    assert!(fallen.iter().any(|line| line.contains("tensors are q5_0: rows are")), "{told}");
    assert!(fallen.len() <= 4, "{told}");
}

/// What was found best is no larger than the mixture's file that says nothing of how it was made.
#[test]
fn the_best_file_is_no_larger_than_its_mixture() {
    if is_emulated() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let (model, words) = floats(&folder);
    let path = |name: &str| folder.path().join(name);
    let (plain, best) = (path("plain.gguf"), path("best.gguf"));
    json(&["quantize", text(&model), text(&plain), "--format", "q3_k_s", "--method", "rtn"]);
    let mut silent = Checkpoint::open(&plain).unwrap();
    silent.unset("edgeformer.quantize.method");
    silent.write_gguf(&path("silent.gguf")).unwrap();

    let arguments = ["quantize", text(&model), text(&best), "--format", "q3_k_s"];
    let more = ["--method", "auto", "--calibration", text(&words), "-c", "64", "--chunks", "8"];
    let report = json(&[&arguments[..], &more].concat());
    assert!(report["tried"].as_array().unwrap().len() >= 4, "{report}");
    let bytes = |path: &Path| fs::metadata(path).unwrap().len();
    assert!(bytes(&best) <= bytes(&path("silent.gguf")), "{report}");
    assert!(divergence(&best, &model, &words) < divergence(&plain, &model, &words));
}

#[test]
fn images_are_classified_as_before() {
    let Some(model) = shared("models/vit-tiny-imagenet") else { return };
    if is_emulated() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("vit.gguf");
    let images = model.join("images");
    let agreeing = |format: &str| {
        json(&["quantize", text(&model), text(&out), "--format", format, "--force"]);
        let arguments = ["eval", "accuracy", "-m", text(&out), "--images", text(&images)];
        let report = json(&[&arguments[..], &["--reference", text(&model)]].concat());
        let share = report["top1_agreement"]["share"].as_f64().unwrap();
        (share * report["images"].as_f64().unwrap()).round()
    };
    assert_eq!(agreeing("q8_0"), 17.0);
    assert!(agreeing("q4_0") >= 16.0);

    let arguments = ["quantize", text(&model), text(&out), "--format", "q4_0", "--force", "-q"];
    let told = refusal(&[&arguments[..], &["--method", "auto"]].concat(), 1);
    assert!(told.contains("--method auto") && told.contains("reads no text"), "{told}");
}

#[test]
fn without_clip_search_bytes_are_those_of_the_reference() {
    let folder = TempDir::new().unwrap();
    let (model, _) = floats(&folder);
    let source = Gguf::open(&model).unwrap();
    for format in ["q8_0", "q4_0", "q4_1", "q5_0", "q5_1"] {
        let out = folder.path().join("out.gguf");
        let arguments = ["quantize", text(&model), text(&out), "--format", format, "--force"];
        json(&[&arguments[..], &["--method", "rtn", "--no-clip-search"]].concat());
        let gguf = Gguf::open(&out).unwrap();
        for info in gguf.tensors().filter(|info| !info.format().is_float()) {
            let values = source.tensor(info.name()).unwrap().to_f32();
            let expected = Tensor::quantize(info.format(), info.shape(), &values).unwrap();
            assert_eq!(gguf.tensor(info.name()).unwrap().bytes(), expected.bytes(), "{format}");
        }
    }
}

#[test]
fn a_calibrated_model_is_closer_to_what_it_was() {
    if is_emulated() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let (model, words) = floats(&folder);
    let path = |name: &str| folder.path().join(name);
    let (imatrix, hessians) = (path("imatrix.gguf"), path("hessians"));
    let arguments = ["calibrate", text(&model), "--text", text(&words), "-o", text(&imatrix)];
    let done = json(&[&arguments[..], &["--hessians", text(&hessians), "-c", "64"]].concat());
    // Four inputs a layer, seven matrices that read them, and the vocabulary.
    assert_eq!(done["weights"], 6 * 7 + 1);
    let quantize = |name: &str, more: &[&str]| {
        let out = path(name);
        let arguments = ["quantize", text(&model), text(&out), "--format", "q3_k_s"];
        let report = json(&[&arguments[..], more].concat());
        (report, divergence(&out, &model, &words))
    };
    let (_, plain) = quantize("plain.gguf", &["--method", "rtn"]);
    let (_, weighted) = quantize("weighted.gguf", &["--imatrix", text(&imatrix)]);
    let (report, second_order) = quantize(
        "gptq.gguf",
        &["--method", "gptq", "--imatrix", text(&imatrix), "--hessians", text(&hessians)],
    );
    assert_eq!(report["calibrated_with"], text(&imatrix));
    assert!(second_order < weighted && weighted < plain, "{second_order} {weighted} {plain}");
    let gguf = Gguf::open(&path("gptq.gguf")).unwrap();
    let metadata = gguf.metadata();
    assert_eq!(metadata.str("quantize.imatrix.dataset").unwrap(), Some("text.txt"));
    assert_eq!(metadata.str("edgeformer.quantize.method").unwrap(), Some("gptq"));
}

#[test]
fn bits_are_spent_where_they_matter() {
    if is_emulated() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let (model, words) = floats(&folder);
    let out = folder.path().join("bpw.gguf");
    let arguments = ["quantize", text(&model), text(&out), "--target-bpw", "5.2"];
    let more = ["--calibration", text(&words), "-c", "64", "--chunks", "8"];
    let report = json(&[&arguments[..], &more].concat());
    assert!(report["bits_per_weight"].as_f64().unwrap() <= 5.2, "{report}");
    let formats: std::collections::BTreeSet<&str> = report["tensors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["format"].as_str().unwrap())
        .collect();
    assert!(formats.len() > 2, "{formats:?}");
    assert_eq!(report["calibrated_with"], text(&words));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else is left");
}

#[test]
fn wrong_requests_are_told_in_one_line() {
    let folder = TempDir::new().unwrap();
    let (model, words) = floats(&folder);
    let path = |name: &str| folder.path().join(name);
    let out = path("out.gguf");
    let quantize = |from: &Path, more: &[&str], code| {
        refusal(&[&["quantize", text(from), text(&out), "--quiet"], more].concat(), code)
    };
    let told = quantize(&model, &["--format", "q9_k"], 2);
    assert!(told.contains("unknown mixture \"q9_k\", known are f32"), "{told}");
    assert!(quantize(&model, &[], 2).contains("--format"));
    let told = quantize(&model, &["--target-bpw", "1.0", "-c", "64"], 1);
    assert!(told.contains("its smallest formats take"), "{told}");
    let told = quantize(&model, &["--format", "q4_0", "--imatrix", text(&model)], 1);
    assert!(told.contains("an importance matrix has \"imatrix\""), "{told}");
    let told = refusal(
        &["calibrate", text(&model), "--text", text(&words), "-c", "4096", "-q", "-o", text(&out)],
        1,
    );
    assert!(told.contains("one window takes"), "{told}");
    assert!(!out.exists());

    fs::write(&out, "kept").unwrap();
    assert!(quantize(&model, &["--format", "q4_0"], 1).contains("--force"));
    assert_eq!(fs::read(&out).unwrap(), b"kept");
    fs::remove_file(&out).unwrap();

    stdout(&["quantize", text(&model), text(&path("q8.gguf")), "--format", "q8_0", "--quiet"]);
    let told = quantize(&path("q8.gguf"), &["--format", "q4_0"], 1);
    assert!(told.contains("blk.0.attn_q.weight") && told.contains("--allow-requantize"), "{told}");
    stdout(&[
        "quantize",
        text(&path("q8.gguf")),
        text(&out),
        "--format",
        "q4_0",
        "--quiet",
        "--allow-requantize",
    ]);
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    let folder = TempDir::new().unwrap();
    let (model, _) = floats(&folder);
    let (damaged, out) = (folder.path().join("nan.gguf"), folder.path().join("out.gguf"));
    let mut checkpoint = Checkpoint::open(&model).unwrap();
    for tensor in &mut checkpoint.tensors {
        if tensor.name() == "blk.2.ffn_up.weight" {
            let loaded = tensor.load().unwrap();
            let mut values = loaded.to_f32();
            values[192 * 3 + 5] = f32::NAN;
            let changed = Tensor::from_f32(loaded.shape(), &values).unwrap();
            *tensor = LazyTensor::ready("blk.2.ffn_up.weight", changed);
        }
    }
    checkpoint.write_gguf(&damaged).unwrap();
    let arguments = ["quantize", text(&damaged), text(&out), "--format", "q4_0", "--quiet"];
    let told = refusal(&arguments, 1);
    assert!(told.contains("\"blk.2.ffn_up.weight\": weight [3, 5] is NaN"), "{told}");
    assert!(!out.exists());
    stdout(&[&arguments[..], &["--allow-nonfinite"]].concat());
}
