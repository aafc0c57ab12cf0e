//! `cargo xtask bench`, end to end, on a model of 260,000 parameters.

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use self::support::shared;

/// Runs a measurement with the build at hand.
fn bench(shared: &Path, arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("bench").args(arguments).arg("--as-built").env("EDGEFORMER_SHARED", shared);
    let output = command.output().expect("the program was built for this test");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn caches_are_compared_each_in_a_process_of_its_own() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("figures");
    let arguments = [
        "cache",
        "--json",
        "--depths",
        "96",
        "--decode-tokens",
        "4",
        "--runs",
        "2",
        "--configs",
        "f32,window 64",
        "--quality-tokens",
        "1024",
        "--quality-context",
        "256",
        "--threads",
        "1",
        "--output",
        output.to_str().unwrap(),
    ];
    let (success, stdout, stderr) = bench(&shared, &arguments);
    assert!(success, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let names: Vec<_> = report["rows"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["f16", "f32", "window 64"]);

    let [baseline, exact] = [0, 1].map(|row| &report["rows"][row]);
    let depth = &exact["depths"][0]["measured"];
    assert_eq!(depth["prefill"]["count"], 2, "{report:#}");
    assert_eq!(depth["bytes_per_token"], 1280, "{report:#}");
    assert!(depth["peak_resident"]["median"].as_f64().unwrap() > 1e6, "{report:#}");
    assert!(depth["decode_ratio"].as_f64().unwrap() > 0.0, "{report:#}");
    let quality = |row: &Value| row["texts"][0]["measured"].clone();
    assert_eq!(quality(baseline)["divergence"], 0.0, "{report:#}");
    assert_eq!(quality(baseline)["tokens"], 4 * 127, "{report:#}");
    let divergence = quality(exact)["divergence"].as_f64().unwrap();
    assert!(divergence > 0.0 && divergence < 1e-4, "{report:#}");
    let perplexity = quality(exact)["perplexity"].as_f64().unwrap();
    assert!(perplexity > 2.0 && perplexity < 10.0, "{report:#}");

    let markdown = std::fs::read_to_string(output.join("cache.md")).unwrap();
    assert!(markdown.contains("| f32 | 1280 |"), "{markdown}");
    let chart = std::fs::read(output.join("cache.png")).unwrap();
    assert!(chart.starts_with(b"\x89PNG"));
}

#[test]
fn a_text_that_outgrows_the_context_is_refused_where_it_does() {
    let Some(shared) = shared() else { return };
    let arguments = ["stream", "--json", "--tokens", "600", "--slice", "200"];
    let (success, stdout, stderr) = bench(&shared, &arguments);
    assert!(success, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let refusing = &report["policies"][2];
    assert_eq!(refusing["refused"]["token"], 512, "{report:#}");
    assert_eq!(refusing["slices"].as_array().unwrap().len(), 3, "{report:#}");
    assert_eq!(refusing["slices"][2]["tokens"], 112, "{report:#}");
}

#[test]
fn latent_caches_are_as_large_as_planned() {
    let Some(shared) = shared() else { return };
    let model = shared.join("fixtures/hf/deepseek-v2-mla");
    let arguments = [
        "latent",
        "--json",
        "--model",
        model.to_str().unwrap(),
        "--tokens",
        "64",
        "--context",
        "32",
        "--spans",
        "8,1",
        "--runs",
        "2",
    ];
    let (success, stdout, stderr) = bench(&shared, &arguments);
    assert!(success, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let (size, widths) = (&report["size"], &report["dimensions"]);
    let elements = widths["rank"].as_u64().unwrap() + widths["rope"].as_u64().unwrap();
    assert_eq!(size["elements"], elements, "{report:#}");
    assert_eq!(size["measured"], size["planned"], "{report:#}");
    let layers = size["layers"].as_u64().unwrap();
    assert_eq!(size["measured"], 2 * elements * layers * 64, "{report:#}");
    let spans = report["crossover"]["spans"].as_array().unwrap();
    let lengths: Vec<_> = spans.iter().map(|span| &span["tokens"]).collect();
    assert_eq!(lengths, [1, 8], "{report:#}");
}

#[test]
fn wrong_questions_are_answered_in_a_line() {
    let Some(shared) = shared() else { return };
    for (arguments, expected) in [
        (&["cache", "--configs", "q9"][..], "unknown cache configuration \"q9\""),
        (&["cache", "--model", "absent.gguf"], "absent.gguf"),
        (&["cache", "--window-file", "absent.json"], "absent.json"),
        (&["stream", "--tokens", "9999999"], "9999999 are to be read"),
        (&["latent", "--model", "absent.gguf"], "absent.gguf"),
        (&["quantization", "--formats", "q9"], "unknown mixture \"q9\""),
        (&["quantization", "--models", "absent"], "trained/absent/calibration.txt"),
        (&["quantization", "--models", "trained", "--trained", "absent"], "absent is not there"),
    ] {
        let (success, _, stderr) = bench(&shared, arguments);
        assert!(!success && stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}
