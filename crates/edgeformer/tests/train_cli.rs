//! The built binary with training:
//!
//! ```text
//! cargo test -p edgeformer --features train --test train_cli
//! ```
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use edgeformer_conformance::shared;
use serde_json::{Value, json};
use support::{edgeformer, encoder, refusal, run, stdout};
use tempfile::TempDir;

/// Eight lines: four that are good, one that is broken, one twice, one empty, one evaluated.
fn pool(folder: &TempDir) -> PathBuf {
    let line = |question: &str, answer: &str| {
        json!({ "question": question, "answer": answer, "class": "king" }).to_string()
    };
    let lines = [
        line("Who is dead?", "Perhaps the king, since he might be dead. Let me check: he is."),
        "{\"question\": \"Who".into(),
        // Spaces and the order of fields are kept.
        "{ \"answer\":\"The queen of France is  not.\",  \"question\": \"Who is alive, then?\" }"
            .into(),
        line("Who is dead?", "Perhaps the king, since he might be dead. Let me check: he is."),
        line("Who speaks?", ""),
        line("To be or not to be, that is the question whether it is nobler?", "It is."),
        line("How many are 3 and 4, my lord?", "They are 7."),
        line("What says the duke of York to the lords?", "He says that they are gone, so he goes."),
    ];
    let path = folder.path().join("pool.jsonl");
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn arguments<'a>(pool: &'a Path, output: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    [&["curate", text(pool), "--output", text(output), "--quiet"], more].concat()
}

fn report(folder: &TempDir, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.path().join(format!("{name}.report.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Lines and the reasons for which they were dropped.
fn reasons(lines: &[Value]) -> Vec<(u64, Option<&str>)> {
    lines.iter().map(|line| (line["line"].as_u64().unwrap(), line["reason"].as_str())).collect()
}

#[test]
fn help_texts_are_complete() {
    insta::assert_snapshot!("help_curate", stdout(&["curate", "--help"]));
    insta::assert_snapshot!("help_finetune", stdout(&["finetune", "--help"]));
    insta::assert_snapshot!("help_train", stdout(&["train", "--help"]));
    insta::assert_snapshot!("help_tokenizer_train", stdout(&["tokenizer", "train", "--help"]));
}

#[test]
fn kept_records_are_verbatim_and_all_others_have_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, output) = (pool(&folder), folder.path().join("kept.jsonl"));
    let test = folder.path().join("test.txt");
    fs::write(&test, "He says: to be, or not to be; that is the question: whether it is nobler.")
        .unwrap();
    let more = ["--decontaminate", text(&test), "--keep", "3", "--json"];
    let summary: Value = serde_json::from_str(&stdout(&arguments(&pool, &output, &more))).unwrap();
    assert_eq!((&summary["records"], &summary["bad_lines"]), (&json!(7), &json!(1)));
    assert_eq!(summary["kept"], 3);
    assert_eq!(summary["stages"][0]["stage"], "validity");
    let told = report(&folder, "kept");
    let expected = [
        (1, None),
        (2, Some("no_record")),
        (3, None),
        (4, Some("near_duplicate")),
        (5, Some("empty")),
        (6, Some("contaminated")),
        (7, Some("not_chosen")),
        (8, None),
    ];
    assert_eq!(reasons(&told), expected);
    assert_eq!(told[3]["of"], 1);
    let lines = fs::read_to_string(&pool).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    let kept = fs::read_to_string(&output).unwrap();
    assert_eq!(kept, format!("{}\n{}\n{}\n", lines[0], lines[2], lines[7]));
    let page = fs::read_to_string(folder.path().join("kept.report.html")).unwrap();
    assert!(page.contains("3 of 8 lines kept") && page.contains("<svg"), "{page}");
}

#[test]
fn a_model_says_how_hard_records_are() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder);
    let measure = |name: &str| {
        let output = folder.path().join(format!("{name}.jsonl"));
        let more = ["--ifd", "9", "--loss-band", "0..0.75", "--max-tokens", "200"];
        stdout(&arguments(&pool, &output, &more));
        let read = |ending: &str| fs::read(folder.path().join(format!("{name}{ending}"))).unwrap();
        [read(".jsonl"), read(".report.jsonl"), read(".report.html")]
    };
    assert_eq!(measure("one"), measure("other"), "the same input gives the same bytes");
    let told = report(&folder, "one");
    for line in told.iter().filter(|line| line["kept"] == true) {
        let scores = &line["scores"];
        assert!(scores["loss"].as_f64().unwrap() > 0.0, "{line}");
        assert!(scores["ifd"].as_f64().unwrap() > 0.0, "{line}");
        assert!(scores["tokens"].as_u64().unwrap() > 4, "{line}");
    }
    let outside: Vec<&Value> =
        told.iter().filter(|line| line["reason"] == "outside_band").collect();
    assert_eq!(outside.len(), 1, "{told:?}");
    let loss = outside[0]["loss"].as_f64().unwrap();
    assert!(told.iter().all(|line| line["scores"]["loss"].as_f64().is_none_or(|it| it <= loss)));
}

#[test]
fn samples_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, output) = (pool(&folder), folder.path().join("kept.jsonl"));
    let more = ["--solved", "0..1", "--samples", "2", "--answer-tokens", "6"];
    stdout(&arguments(&pool, &output, &more));
    let told = report(&folder, "kept");
    assert_eq!(told[0]["reason"], "unchecked");
    assert!(told[6]["scores"]["solved"].as_u64().unwrap() <= 2, "{}", told[6]);
    let all = ["--solved", "2", "--samples", "2", "--answer-tokens", "6", "--force", "--check"];
    let any = [&all[..], &["regex:()"]].concat();
    stdout(&arguments(&pool, &output, &any));
    assert!(report(&folder, "kept").iter().any(|line| line["scores"]["solved"] == 2));
}

#[test]
fn records_that_resemble_each_other_are_kept_once() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, output) = (pool(&folder), folder.path().join("kept.jsonl"));
    for select in ["k-center", "facility-location"] {
        let more = ["--select", select, "--keep", "2", "--max-similarity", "1", "--force"];
        stdout(&arguments(&pool, &output, &more));
        assert_eq!(fs::read_to_string(&output).unwrap().lines().count(), 2);
    }
    // Nothing is that unlike in a small model's eyes: one is left.
    let more = ["--select", "k-center", "--max-similarity", "0.0001", "--force"];
    stdout(&arguments(&pool, &output, &more));
    let told = report(&folder, "kept");
    assert!(told.iter().any(|line| line["reason"] == "too_similar"), "{told:?}");
}

#[test]
fn encoders_say_what_records_are_about() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, output) = (pool(&folder), folder.path().join("kept.jsonl"));
    let Some(bare) = shared("fixtures/hf/bert") else { return };
    let with = |model: &Path| {
        let more = ["--select", "k-center", "--embedding-model", text(model), "--keep", "2"];
        run(&arguments(&pool, &output, &more))
    };
    let refused = with(&bare);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no tokenizer"));
    assert!(!output.exists());
    let Some(encoder) = encoder(folder.path()) else { return };
    let found = with(&encoder);
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    assert!(fs::read_to_string(&output).unwrap().lines().count() <= 2);
}

#[test]
fn what_cannot_be_done_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, output) = (pool(&folder), folder.path().join("kept.jsonl"));
    let fails = |more: &[&str], code| refusal(&arguments(&pool, &output, more), code);
    let told = fails(&["--strict"], 1);
    assert!(told.contains("pool.jsonl:2: no JSON") && told.lines().count() == 1, "{told}");
    assert!(!output.exists());
    assert!(fails(&["--decontaminate", "/nowhere.jsonl"], 1).contains("/nowhere.jsonl"));
    assert!(fails(&["--solved", "3..1"], 2).contains("no range"));
    assert!(fails(&["--solved", "5", "--samples", "4"], 2).contains("raise --samples"));
    assert!(fails(&["--check", "regex:("], 2).contains("no regular expression"));
    assert!(fails(&["--quota", "author"], 2).contains("no quota"));
    assert!(fails(&["--keep", "0"], 2).contains("--keep"));
    assert!(fails(&["--no-validity", "--min-chars", "3"], 2).contains("cannot be used with"));
    assert!(refusal(&arguments(&pool, &pool, &["--force"]), 2).contains("is the pool"));
    let nothing = folder.path().join("nothing.jsonl");
    fs::write(&nothing, "\n").unwrap();
    assert!(refusal(&arguments(&nothing, &output, &[]), 1).contains("no record in it"));
    stdout(&arguments(&pool, &output, &[]));
    assert!(fails(&[], 1).contains("is there already"));
    let mut missing = edgeformer(&["curate", text(&pool)]);
    assert_eq!(missing.output().unwrap().status.code(), Some(2));
}

#[test]
fn real_data_sets_are_read() {
    let Some(file) = shared("data/gsm8k/train.jsonl") else { return };
    let Some(test) = shared("data/gsm8k/test.jsonl") else { return };
    let folder = tempfile::tempdir().unwrap();
    let pool = folder.path().join("pool.jsonl");
    let lines = fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = lines.lines().take(1500).collect();
    let test = fs::read_to_string(test).unwrap();
    let tests: Vec<&str> = test.lines().take(20).collect();
    fs::write(&pool, [&lines[..], &tests].concat().join("\n")).unwrap();
    let evaluation = folder.path().join("test.jsonl");
    fs::write(&evaluation, tests.join("\n")).unwrap();
    let output = folder.path().join("kept.jsonl");
    let more = ["--keep", "100", "--decontaminate", text(&evaluation)];
    stdout(&arguments(&pool, &output, &more));
    let told = report(&folder, "kept");
    assert_eq!(fs::read_to_string(&output).unwrap().lines().count(), 100);
    for line in &told[lines.len()..] {
        assert_eq!(line["reason"], "contaminated", "{line}");
    }
    let contaminated = told.iter().filter(|line| line["reason"] == "contaminated").count();
    assert!(contaminated < tests.len() + 15, "{contaminated}");
}
