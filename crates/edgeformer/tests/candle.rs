//! The built binary on the candle backend.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/adapters.rs"]
mod adapters;
mod support;

use edgeformer_conformance::shared;
use support::{refusal, stdout};

fn generate<'a>(model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let usual = ["generate", "--model", model, "Once upon a time", "--quiet"];
    [&usual, more].concat()
}

#[test]
fn it_writes_what_the_cpu_backend_writes() {
    for file in ["models/stories260k/hf", "models/stories260k/stories260k-f32.gguf"] {
        let Some(model) = shared(file) else { return };
        let model = model.to_str().unwrap();
        let write = |backend| {
            let choice = ["--temp", "0", "-n", "40", "--backend", backend];
            stdout(&generate(model, &choice))
        };
        let text = write("candle");
        assert_eq!(text, write("cpu"));
        assert!(text.split_whitespace().count() > 10, "{text}");
    }
}

#[test]
fn auto_keeps_the_cpu_backend() {
    let Some(model) = shared("models/stories260k/hf") else { return };
    let model = model.to_str().unwrap();
    let text = stdout(&["devices", "--model", model]);
    assert!(text.contains("candle/cpu") && text.contains("score 50"), "{text}");
    let usual = ["generate", "--model", model, "Once", "--temp", "0", "-n", "1"];
    let output = support::run(&usual);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("on cpu/cpu"), "{said}");
}

#[test]
fn what_it_has_not_is_refused_in_one_line() {
    let Some(model) = shared("models/stories260k/hf") else { return };
    let model = model.to_str().unwrap();
    let quantized = ["--backend", "candle", "--cache-type-k", "q8_0"];
    let line = refusal(&generate(model, &quantized), 2);
    assert!(line.contains("no cached keys in q8_0 (but in f32 or f16)"), "{line}");
    let line = refusal(&generate(model, &["--backend", "candle/tpu:0"]), 1);
    assert!(line.contains("tpu:0"), "{line}");
}

#[test]
fn an_adapter_gives_the_logits_of_the_reference() {
    let Some(reference) = adapters::Reference::find() else { return };
    let adapter = reference.adapter.to_str().unwrap();
    let arguments = ["--adapter", adapter, "--backend", "candle"];
    let error = reference.error(&reference.model, &arguments);
    assert!(error < 1e-4, "{error}");
}
