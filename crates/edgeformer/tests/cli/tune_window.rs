//! `tune-window` and the files it writes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{refusal, stdout};
use crate::text;

/// Of the embedded model.
const LAYERS: usize = 6;
const HEADS: usize = 6;

/// Windows for the embedded model: 96 wide, but for one head.
fn windows(folder: &Path, change: impl FnOnce(&mut serde_json::Value)) -> PathBuf {
    let plan: serde_json::Value = serde_json::from_str(&stdout(&["plan", "--json"])).unwrap();
    let mut file = serde_json::json!({
        "family": plan["family"], "heads": vec![HEADS; LAYERS], "mass": 0.95, "sinks": 2,
        "context": 512, "tokens": 1024,
        "windows": { "slots": vec![vec![Some(96); HEADS]; LAYERS] },
    });
    file["windows"]["slots"][0][0] = serde_json::Value::Null;
    change(&mut file);
    let path = folder.join("windows.json");
    fs::write(&path, file.to_string()).unwrap();
    path
}

#[test]
fn a_file_of_windows_reaches_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let file = windows(folder.path(), |_| {});
    let plan = |more: &[&str]| -> serde_json::Value {
        let all = [&["plan", "--json", "--window", text(&file)], more].concat();
        serde_json::from_str(&stdout(&all)).unwrap()
    };
    let visibility = plan(&[])["session"]["visibility"].clone();
    assert_eq!(visibility["window"]["heads"]["slots"][0][0], serde_json::Value::Null);
    assert_eq!(visibility["window"]["heads"]["slots"][2][3], 96);
    // The sinks are those that the windows were found with, unless others are named.
    assert_eq!(visibility["sinks"], 2);
    assert_eq!(plan(&["--sinks", "6"])["session"]["visibility"]["sinks"], 6);
}

#[test]
fn files_of_another_model_or_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |change: fn(&mut serde_json::Value)| {
        let file = windows(folder.path(), change);
        let told = refusal(&["generate", "x", "--quiet", "--window", text(&file)], 1);
        assert!(told.contains("windows.json") && told.lines().count() == 1, "{told}");
        told
    };
    assert!(refused(|file| file["family"] = "gemma".into()).contains("made for a gemma model"));
    let told = refused(|file| {
        file["windows"]["slots"].as_array_mut().unwrap().pop();
    });
    assert!(told.contains("5 layers") && told.contains("run tune-window on this one"), "{told}");
    assert!(refused(|file| file["windows"]["slots"][1][1] = 0.into()).contains("a window has 0"));
    assert!(
        refused(|file| file["windows"] = 3.into()).contains("no file of edgeformer tune-window")
    );
    let told = refusal(&["generate", "x", "--quiet", "--window", "/nowhere.json"], 1);
    assert!(told.contains("/nowhere.json") && told.contains("MIN:MAX"), "{told}");
}

#[test]
fn wrong_requests_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, output) = (folder.path().join("empty.txt"), folder.path().join("out.json"));
    fs::write(&empty, " \n").unwrap();
    let tune = |more: &[&str], code| {
        let all = [&["tune-window", "--quiet", "--output", text(&output)], more].concat();
        refusal(&all, code)
    };
    assert!(tune(&["--text", text(&empty)], 1).contains("empty.txt: there is no text"));
    assert!(tune(&["--text", "/nowhere.txt"], 1).contains("/nowhere.txt"));
    assert!(tune(&["a.gguf", "--model", "b.gguf", "--text", "x"], 2).contains("MODEL and --model"));
    assert!(tune(&["--text", "x", "--mass", "1.5"], 2).contains("is no share"));
    assert!(tune(&[], 2).contains("--text"));
    assert!(!output.exists());
}

#[test]
fn windows_are_found_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, output) = (folder.path().join("text.txt"), folder.path().join("windows.json"));
    fs::write(&lines, "To be or not to be, that is the question, my lord.\n".repeat(20)).unwrap();
    let tune = |more: &[&str]| {
        let all = ["tune-window", "--text", text(&lines), "--output", text(&output), "--quiet"];
        stdout(&[&all, more].concat())
    };
    let table = tune(&["--mass", "0.8"]);
    assert_eq!(table.lines().count(), 1 + LAYERS, "{table}");
    let narrow: serde_json::Value = serde_json::from_slice(&fs::read(&output).unwrap()).unwrap();
    let wide: serde_json::Value =
        serde_json::from_str(&tune(&["--mass", "0.99", "--json"])).unwrap();
    assert_eq!(wide["layers"].as_array().unwrap().len(), LAYERS);
    let context = wide["context"].as_u64().unwrap();
    for layer in 0..LAYERS {
        for head in 0..HEADS {
            let window = |file: &serde_json::Value| file["windows"]["slots"][layer][head].as_u64();
            // More mass takes a longer window, until the head stays global.
            let longest = u64::MAX;
            assert!(window(&narrow).unwrap_or(longest) <= window(&wide).unwrap_or(longest));
            assert!(window(&wide).is_none_or(|window| (1..=context / 2).contains(&window)));
        }
    }
    stdout(&["generate", "To be", "-n", "5", "--window", text(&output), "--quiet"]);
}

#[test]
fn the_model_may_be_named_by_place_too() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, output) = (folder.path().join("text.txt"), folder.path().join("windows.json"));
    fs::write(&lines, "To be or not to be. ".repeat(5)).unwrap();
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/tiny/tiny-shakespeare.gguf");
    let shared = ["--text", text(&lines), "--output", text(&output), "--ctx-size", "32", "--json"];
    let by_place = stdout(&[&["tune-window", tiny], &shared[..]].concat());
    let by_name = stdout(&[&["tune-window", "--model", tiny], &shared[..]].concat());
    let embedded = stdout(&[&["tune-window"], &shared[..]].concat());
    assert_eq!(by_place, by_name);
    assert_eq!(by_place, embedded);
}
