//! `cargo xtask bench` without a further word, end to end, on a model of 260,000 parameters.

mod support;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use self::support::shared;

/// Runs the benchmark with the build at hand.
fn bench(shared: Option<&Path>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("bench").args(arguments).arg("--as-built");
    if let Some(shared) = shared {
        command.env("EDGEFORMER_SHARED", shared);
    }
    command.output().expect("the program was built for this test")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_row_says_everything_about_a_case() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("figures");
    let document = folder.path().join("page.md");
    std::fs::write(&document, "<!-- figures: here -->\n<!-- end of figures -->\n").unwrap();
    let arguments = [
        "--models",
        "stories260k",
        "--cases",
        "pp16,tg4@d8,pp4+tg4",
        "--threads",
        "1",
        "--repeats",
        "2",
        "--context",
        "64",
        "--cache-type-v",
        "q8_0",
        "--name",
        "test bench",
        "--json",
        "--output",
        output.to_str().unwrap(),
        "--document",
        document.to_str().unwrap(),
        "--place",
        "here",
    ];
    let done = bench(Some(&shared), &arguments);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let stdout = text(&done.stdout);
    let rows: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let cases: Vec<_> = rows.iter().map(|row| &row["case"]).collect();
    assert_eq!(cases, ["pp16", "tg4@d8", "pp4+tg4"]);
    for row in &rows {
        assert_eq!((&row["model"], &row["format"]), (&"stories260k".into(), &"f32".into()));
        assert_eq!((&row["threads"], &row["context"]), (&1.into(), &64.into()), "{row:#}");
        assert_eq!(row["cache_type_v"], "q8_0");
        assert_eq!(row["spread"]["count"], 2, "{row:#}");
        assert!(row["tokens_per_second"].as_f64().unwrap() > 0.0, "{row:#}");
        assert!(row["peak_rss_bytes"].as_u64().unwrap() > 1 << 20, "{row:#}");
        let load = row["load_seconds"].as_f64().unwrap();
        assert!(load > 0.0 && row["time_to_first_token"].as_f64().unwrap() > load, "{row:#}");
        assert_ne!(row["energy_joules"], 0, "not measured is null: {row:#}");
        assert_eq!((&row["peer"], &row["ratio"]), (&Value::Null, &Value::Null));
        assert_eq!(row["device"]["name"], "test bench");
        assert!(row["limits"]["threads"][0]["read_gb_per_second"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(rows[0]["limit"]["name"], "f32 fma", "{:#}", rows[0]);
    assert_eq!(rows[1]["limit"]["name"], "read bandwidth", "{:#}", rows[1]);
    assert_eq!(rows[2]["limit"], Value::Null, "{:#}", rows[2]);
    assert!(rows[1]["share_of_limit"].as_f64().unwrap() > 0.0, "{:#}", rows[1]);

    let read = |extension: &str| std::fs::read(output.join("speed").with_extension(extension));
    assert!(read("png").unwrap().starts_with(b"\x89PNG"));
    assert_eq!(text(&read("jsonl").unwrap()), stdout);
    assert_eq!(text(&read("csv").unwrap()).lines().count(), 4);
    assert_eq!(text(&read("sql").unwrap()).matches("INSERT INTO").count(), 3);
    let page = std::fs::read_to_string(&document).unwrap();
    assert!(page.contains("| stories260k | f32 | pp16 (f16/q8_0 cache) | 1 |"), "{page}");
    assert!(page.contains(&text(&read("md").unwrap())), "{page}");
}

#[test]
fn a_case_that_fails_is_told_beside_those_that_do_not() {
    let Some(shared) = shared() else { return };
    let encoder = shared.join("fixtures/hf/bert");
    let models = format!("stories260k,{}", encoder.display());
    let arguments = ["--threads", "1", "--repeats", "1", "--cases", "pp4", "--models", &models];
    let done = bench(Some(&shared), &arguments);
    let (stdout, stderr) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{stderr}");
    assert!(stdout.contains("| stories260k | f32 | pp4 | 1 |"), "{stdout}");
    assert!(stdout.contains("- bert f32 pp4, 1 threads: "), "{stdout}");
    assert!(stderr.contains("only models that continue text are measured"), "{stderr}");
}

#[test]
fn wrong_questions_are_answered_in_a_line() {
    for (arguments, code, expected) in [
        (&["--models", "absent.gguf"][..], 1, "absent.gguf"),
        (&["--models", "absent"], 1, "there is no model \"absent\""),
        (&["--cases", "pp0"], 2, "unknown case \"pp0\""),
        (&["--cache-type-k", "q9"], 2, "unknown cache format"),
        (&["--peer", "llama.c", "--models", "absent.gguf"], 1, "unknown peer \"llama.c\""),
        (&["--threads", "0", "--models", "absent.gguf"], 1, "nothing to measure: no threads"),
    ] {
        let done = bench(None, arguments);
        let stderr = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
        assert!(done.stdout.is_empty());
    }
}

#[test]
fn a_packed_file_that_is_refused_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("tiny.gguf");
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/tiny");
    std::fs::copy(assets.join("tiny-shakespeare.gguf"), &model).unwrap();
    let measured = || {
        let name = model.to_str().unwrap();
        let all = ["--models", name, "--cases", "tg2", "--threads", "1", "--repeats", "2"];
        let done = bench(None, &all);
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stderr).matches("warning: packed file").count()
    };
    assert_eq!(measured(), 0);
    // What cannot even be opened is told whichever kernels this machine has.
    std::fs::create_dir(folder.path().join("tiny.gguf.packed")).unwrap();
    assert_eq!(measured(), 1);
}
