//! What is kept of the past: settings that reach the session, and settings that contradict.

use std::fmt::Write;
use std::fs;

use crate::support::{edgeformer, refusal, run, stdout};

/// The session that `plan` would open.
fn session(arguments: &[&str]) -> serde_json::Value {
    let all = [&["plan", "--json"], arguments].concat();
    let plan: serde_json::Value = serde_json::from_str(&stdout(&all)).unwrap();
    plan["session"].clone()
}

#[test]
fn windows_and_sinks_reach_the_session() {
    let visibility = |arguments: &[&str]| session(arguments)["visibility"].clone();
    assert_eq!(visibility(&[])["window"], "model");
    assert_eq!(visibility(&["--window", "64"])["window"]["tokens"], 64);
    let adaptive = visibility(&["--window", "16:64"]);
    assert_eq!(adaptive["window"]["adaptive"]["least"], 16);
    assert_eq!(adaptive["window"]["adaptive"]["most"], 64);
    // Sinks alone: the window is what they leave.
    let streaming = visibility(&["--sinks", "4", "--ctx-size", "128"]);
    assert_eq!((&streaming["sinks"], &streaming["window"]["tokens"]), (&4.into(), &124.into()));
    assert_eq!(visibility(&["--attend-pages", "3"])["attend_pages"], 3);
    let evicting = visibility(&["--evict", "h2o", "--keep", "32"]);
    assert_eq!(
        (&evicting["eviction"]["policy"], &evicting["eviction"]["keep"]),
        (&"h2o".into(), &32.into())
    );
}

#[test]
fn formats_tiers_and_forms_reach_the_session() {
    let formats =
        session(&["--cache-type-k", "q4_0h", "--cache-type-v", "q8_0", "--mla", "expanded"]);
    assert_eq!(formats["cache_type_k"], "q4_0h");
    assert_eq!(formats["cache_type_v"], "q8_0");
    assert_eq!(formats["latent_form"], "expanded");
    let cold = session(&["--cache-cold", "q4_0", "--cache-budget", "1.5MiB"]);
    assert_eq!(cold["tiers"]["cold"], "q4_0");
    assert_eq!(cold["tiers"]["budget"], 3 << 19);
    let spill = session(&["--cache-spill", "/tmp", "--cache-budget", "1MiB"]);
    assert_eq!(spill["tiers"]["spill"], "/tmp");
}

#[test]
fn the_same_names_work_in_file_and_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = "window = 96\nsinks = 2\nctx_size = 128\ncache_type_k = \"q8_0\"\n";
    fs::write(folder.path().join("edgeformer.toml"), file).unwrap();
    let mut command = edgeformer(&["plan", "--json"]);
    let output = command.current_dir(folder.path()).env("EDGEFORMER_SINKS", "3").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["session"]["visibility"]["window"]["tokens"], 96);
    assert_eq!(plan["session"]["visibility"]["sinks"], 3);
    assert_eq!(plan["session"]["cache_type_k"], "q8_0");
}

#[test]
fn contradictions_are_wrong_usage_and_name_both_settings() {
    let mut told = String::new();
    for arguments in [
        "--cache-cold q4_0 --cache-spill /tmp",
        "--cache-budget 1MiB",
        "--cache-budget 2MiB --cache-spill /tmp --memory-budget 1MiB",
        "--evict h2o",
        "--keep 8",
        "--evict h2o --keep 8 --window 64",
        "--evict snapkv --keep 8 --sinks 4",
        "--evict snapkv --keep 8 --attend-pages 4",
        "--evict snapkv --keep 8 --cache-spill /tmp",
        "--sinks 64 --ctx-size 64",
        "--sinks 4 --window 64 --ctx-size 64",
        "--sinks 4 --window 32:64 --ctx-size 64",
        "--speculate lookup --draft small.gguf",
        "--speculate lookup --evict h2o --keep 8",
        "--draft small.gguf --window 16:64",
        "--speculate lookup --draft-max 99",
        "--speculate lookup --draft-min 9 --draft-max 8",
        "--draft-max 8",
        // The embedded model was trained on 512 tokens.
        "--sinks 512",
        "--sinks 4 --window 512",
        "--cache-type-v q4_0h",
        "--memory-budget 0",
        "--attend-pages 0",
    ] {
        let all: Vec<&str> = ["generate", "x"].into_iter().chain(arguments.split(' ')).collect();
        writeln!(told, "{arguments}\n  {}", refusal(&all, 2).trim_end()).unwrap();
    }
    insta::assert_snapshot!("contradictions", told);
}

#[test]
fn values_of_the_wrong_form_are_wrong_usage() {
    let mut told = String::new();
    for arguments in [
        "--window 0",
        "--window 64:32",
        "--memory-budget lots",
        "--cache-budget 1.5",
        "--cache-type-k q5_0",
        "--evict lru",
        "--mla both",
    ] {
        let all: Vec<&str> = ["generate", "x"].into_iter().chain(arguments.split(' ')).collect();
        let message = refusal(&all, 2);
        writeln!(told, "{arguments}\n  {}", message.lines().next().unwrap()).unwrap();
    }
    insta::assert_snapshot!("wrong_values", told);
}

#[test]
fn an_explanation_tells_what_was_chosen_and_what_it_took() {
    let output = run(&["generate", "To be", "-n", "5", "--temperature", "0", "--explain"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    for told in ["memory budget", "none is packed", "fits", "spilled", "retained"] {
        assert!(stderr.contains(told), "{told}: {stderr}");
    }
    let plain = stdout(&["generate", "To be", "-n", "5", "--temperature", "0"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), plain);
    let json = stdout(&["generate", "To be", "-n", "5", "--json", "--explain"]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["report"]["cache"]["sequences"], 1);
    assert!(value["report"]["cache"]["bytes_used"].as_u64().unwrap() > 0);
}

fn generate(more: &[&str]) -> serde_json::Value {
    let all = ["generate", "To be or not to be", "--temperature", "0", "--ignore-eos", "--json"];
    serde_json::from_str(&stdout(&[&all[..], more].concat())).unwrap()
}

#[test]
fn settings_that_leave_everything_in_sight_change_no_text() {
    let plain = generate(&["-n", "150"]);
    for settings in
        ["--window 512", "--attend-pages 512", "--evict h2o --keep 512", "--mla absorbed"]
    {
        let settings: Vec<&str> = settings.split(' ').collect();
        let text = generate(&[&["-n", "150"], settings.as_slice()].concat());
        assert_eq!(text["text"], plain["text"], "{settings:?}");
    }
    // What hides something does change it: the settings reach the backend.
    for settings in ["--window 8", "--evict h2o --keep 16"] {
        let settings: Vec<&str> = settings.split(' ').collect();
        let text = generate(&[&["-n", "150"], settings.as_slice()].concat());
        assert_ne!(text["text"], plain["text"], "{settings:?}");
    }
}

#[test]
fn text_with_sinks_has_no_longest_length() {
    let endless = generate(&["-n", "300", "--sinks", "4", "--ctx-size", "96"]);
    assert_eq!(endless["stats"]["generated_tokens"], 300);
    let bounded = generate(&["-n", "300", "--window", "64", "--ctx-size", "96"]);
    assert!(bounded["stats"]["generated_tokens"].as_u64().unwrap() < 96);
    let long = "To be or not to be, that is the question. ".repeat(20);
    let told = refusal(&["generate", &long, "--ctx-size", "96", "--quiet"], 1);
    assert!(told.contains("--ctx-size"), "{told}");
    let past = ["generate", &long, "--ctx-size", "96", "--sinks", "4", "-n", "5", "--quiet"];
    assert!(!stdout(&past).is_empty());
}
