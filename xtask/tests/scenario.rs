//! `cargo xtask bench --scenario`, end to end, on a model of 260,000 parameters.

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use self::support::stories;

fn scenario(model: &Path, name: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["bench", "--as-built", "--scenario", name, "--threads", "1"]);
    command.args(["--prompt-tokens", "8", "--answer-tokens", "3", "--models"]).arg(model);
    let output = command.args(arguments).output().expect("the program was built for this test");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn streams_have_a_latency_that_is_not_exceeded() {
    let Some(model) = stories() else { return };
    let (code, stdout, stderr) = scenario(
        &model,
        "single-stream",
        &["--min-duration", "0", "--min-queries", "70", "--json"],
    );
    assert_eq!(code, Some(0), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["queries"], 70, "{report:#}");
    let latency = &report["latency"];
    let seconds = |value: &Value| value.as_f64().unwrap();
    let estimate = seconds(&latency["early_stopping"]["value"]);
    assert!(estimate >= seconds(&latency["at_percentile"]), "{report:#}");
    assert!(estimate <= seconds(&latency["query"]["most"]), "{report:#}");
    assert!(seconds(&latency["first_token"]["least"]) > 0.0, "{report:#}");
    let rate = seconds(&report["tokens_per_second"]) / seconds(&report["samples_per_second"]);
    assert!((rate - 3.0).abs() < 1e-9, "every answer has 3 tokens: {report:#}");
}

#[test]
fn offline_is_one_query_of_all_samples() {
    let Some(model) = stories() else { return };
    let (code, stdout, stderr) = scenario(&model, "offline", &["--min-duration", "0"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("| queries | 1 |") && stdout.contains("| samples | 64 |"), "{stdout}");
    assert!(stdout.contains("The run is valid."), "{stdout}");
}

#[test]
fn runs_that_break_a_rule_are_shown_and_fail() {
    let Some(model) = stories() else { return };
    let arguments = ["--min-duration", "100", "--max-duration", "0"];
    let (code, stdout, stderr) = scenario(&model, "multi-stream", &arguments);
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stderr.contains("at least 100 s are demanded"), "{stderr}");
    let (code, _, stderr) = scenario(&model, "server", &[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("known are single-stream, multi-stream, offline"), "{stderr}");
    let (code, _, stderr) = scenario(Path::new("absent.gguf"), "offline", &[]);
    assert!(code == Some(1) && stderr.contains("absent.gguf"), "{stderr}");
}
