//! `cargo xtask compare`, end to end.

use std::path::Path;
use std::process::Command;

use edgeformer_bench::speed::Case;
use serde_json::{Value, json};

fn compare(arguments: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("compare").args(arguments).arg("--output").arg(folder.join("charts"));
    let output = command.output().expect("the program was built for this test");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A line as `cargo xtask bench --json` writes it.
fn line(device: &str, case: Case, tokens_per_second: f64) -> String {
    let object = json!({
        "model": "toy", "format": "q4_0", "model_bytes": 1, "case": case, "threads": 2,
        "context": 512, "cache_type_k": "f16", "cache_type_v": "f16",
        "tokens_per_second": tokens_per_second,
        "spread": { "median": tokens_per_second, "least": 1.0, "most": 9.0, "count": 3 },
        "peak_rss_bytes": 3 << 20, "load_seconds": 0.5, "time_to_first_token": 0.5,
        "command": "cargo xtask bench",
        "device": {
            "name": device, "cpu": device, "architecture": "x86_64", "isa": "avx2",
            "features": [], "cores": 2, "caches": [], "kernel": "linux",
            "cgroup": {}, "version": "0.1.0", "peers": [], "build": "release", "emulated": false
        },
        "limits": { "threads": [] }
    });
    format!("{object}\n")
}

#[test]
fn devices_are_laid_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let speeds = |device: &str, factor: f64| -> String {
        let cases = [128, 512, 1024].map(|tokens| Case::Prefill { tokens, depth: 0 });
        cases
            .map(|case| line(device, case, factor * 51_200.0 / (400 + case.tokens()) as f64))
            .concat()
    };
    let files = [("a.json", speeds("Abacus", 1.0)), ("b.json", speeds("Slide rule", 3.0))];
    let paths = files.map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let [a, b] = [&paths[0], &paths[1]].map(String::as_str);

    let (code, stdout, stderr) = compare(&[a, b], folder.path());
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("| Slide rule | 291 (3.00x) |"), "{stdout}");
    assert!(stdout.contains("Abacus: prefill falls off at 512 tokens"), "{stdout}");
    assert!(
        stdout.contains("prefill is 3.00x at 128 tokens, 3.00x at 1024 of Abacus's"),
        "{stdout}"
    );
    let chart = std::fs::read(folder.path().join("charts/toy-q4_0-prefill.png")).unwrap();
    assert!(chart.starts_with(b"\x89PNG"));

    let (code, stdout, stderr) = compare(&[a, b, "--json"], folder.path());
    assert_eq!(code, Some(0), "{stderr}");
    let objects: Value = serde_json::from_str(&stdout).unwrap();
    let curves = objects[0]["comparison"]["curves"].as_array().unwrap();
    assert_eq!(curves.len(), 2, "{objects:#}");
    assert_eq!(curves[1]["memory"]["512"], 3 << 20, "{objects:#}");
}

#[test]
fn what_cannot_be_compared_is_told_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.json");
    let other = Case::Prefill { tokens: 77, depth: 0 };
    let damaged = line("Abacus", other, 1.0) + "{}\n";
    for (text, expected) in [
        (line("Abacus", other, 1.0), "measure --cases pp128"),
        (damaged, "other.json: line 2: missing field"),
        (String::new(), "measure --cases pp128"),
    ] {
        std::fs::write(&file, text).unwrap();
        let (code, _, stderr) = compare(&[file.to_str().unwrap()], folder.path());
        assert!(code == Some(1) && stderr.contains(expected), "{stderr}");
    }
    let (code, _, stderr) = compare(&["absent.json"], folder.path());
    assert!(code == Some(1) && stderr.contains("absent.json"), "{stderr}");
    let (code, _, _) = compare(&[], folder.path());
    assert_eq!(code, Some(2));
}
