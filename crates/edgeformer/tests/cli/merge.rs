//! `merge`: an adapter in the weights.

use std::fs;
use std::path::Path;

use edgeformer_models::checkpoint::Checkpoint;
use tempfile::TempDir;

use super::adapters_of_tests::{Reference, embedded, logits, write_adapter};
use super::support::{refusal, stdout};
use super::text;

#[test]
fn a_merged_model_computes_what_an_adapted_one_does() {
    let Some(reference) = Reference::find() else { return };
    let temporary = TempDir::new().unwrap();
    let file = temporary.path().join("model.gguf");
    stdout(&["convert", text(&reference.model), text(&file), "--quiet"]);
    for model in [&reference.model, &file] {
        for name in ["merged.gguf", "merged"] {
            let output = temporary.path().join(name);
            let half = format!("{}:0.5", text(&reference.adapter));
            let arguments = ["merge", "-m", text(model), "-o", text(&output), "--force", "--json"];
            let adapters = ["--adapter", &half, "--adapter", &half, "--quiet"];
            let done = stdout(&[&arguments[..], &adapters].concat());
            let done: serde_json::Value = serde_json::from_str(&done).unwrap();
            assert_eq!((&done["adapters"], done["output"].as_str()), (&2.into(), output.to_str()));
            let error = reference.error(&output, &[]);
            assert!(error < 1e-4, "{} to {name}: {error}", model.display());
        }
    }
}

#[test]
fn weights_keep_their_formats_unless_asked() {
    let temporary = TempDir::new().unwrap();
    let at = |name: &str| temporary.path().join(name);
    let (lora, model) = (at("lora.gguf"), embedded());
    write_adapter(&model, &lora);
    let merge = |name: &str, more: &[&str]| {
        let output = at(name);
        let usual = ["merge", "-m", text(&model), "--adapter", text(&lora), "-o", text(&output)];
        let told = stdout(&[&usual[..], &["--quiet"], more].concat());
        assert!(told.contains(&format!("{name}: ")), "{told}");
        output
    };
    let own = merge("own.gguf", &[]);
    let formats = |path: &Path| {
        let checkpoint = Checkpoint::open(path).unwrap();
        let format = |tensor: &edgeformer_models::checkpoint::LazyTensor| {
            (tensor.name().to_owned(), tensor.format())
        };
        checkpoint.tensors.iter().map(format).collect::<Vec<_>>()
    };
    assert_eq!(formats(&own), formats(&model));
    // In f32 nothing is lost: what an adapter beside the same weights in f32 computes.
    let exact = merge("f32.gguf", &["--outtype", "f32"]);
    let plain = at("plain.gguf");
    stdout(&["convert", text(&model), text(&plain), "--outtype", "f32", "--quiet"]);
    let tokens = "5,6,7,8,9";
    let expected = logits(&plain, tokens, &["--adapter", text(&lora)]);
    let found = logits(&exact, tokens, &[]);
    let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-3, "{worst}");
    // Four bits a weight round by about a tenth.
    let weight = |path: &Path| {
        let checkpoint = Checkpoint::open(path).unwrap();
        checkpoint.tensor("blk.0.attn_q.weight").unwrap().load().unwrap().to_f32()
    };
    let (found, expected) = (weight(&own), weight(&exact));
    let norm = |values: Vec<f32>| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    let error = norm(found.iter().zip(&expected).map(|(a, b)| a - b).collect());
    let relative = error / norm(expected);
    assert!(relative < 0.15, "{relative}");
    let told =
        refusal(&["merge", "-m", text(&model), "--adapter", text(&lora), "-o", text(&own)], 1);
    assert!(told.contains("is there already: --force replaces it"), "{told}");
    assert!(fs::metadata(&own).unwrap().len() < fs::metadata(&exact).unwrap().len());
}
