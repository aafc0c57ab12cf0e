//! `tune`, and what other commands make of what it found.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::{edgeformer, is_emulated, refusal};

/// A command whose cache folder is `folder`, profiles in use.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = edgeformer(arguments);
    command.env("EDGEFORMER_CACHE", folder).env_remove("EDGEFORMER_PROFILE");
    command.output().unwrap()
}

fn stdout(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn tune(folder: &Path) -> Value {
    serde_json::from_str(&stdout(folder, &["tune", "--seconds", "1", "--json"])).unwrap()
}

#[test]
fn what_was_found_is_within_the_time_and_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let found = tune(folder.path());
    let profile = Path::new(found["profile"].as_str().unwrap());
    assert!(profile.starts_with(folder.path()) && profile.is_file());
    assert_eq!(found["machine"]["version"], env!("CARGO_PKG_VERSION"));
    let trials = found["trials"].as_array().unwrap();
    // Of every setting that was measured one value is chosen, and one is the usual.
    let settings: std::collections::BTreeSet<&str> =
        trials.iter().map(|trial| trial["setting"].as_str().unwrap()).collect();
    assert!(is_emulated() || !settings.is_empty(), "{found}");
    for setting in settings {
        let of_it = || trials.iter().filter(|trial| trial["setting"] == setting);
        assert_eq!(of_it().filter(|trial| trial["chosen"] == true).count(), 1, "{found}");
        assert_eq!(of_it().filter(|trial| trial["usual"] == true).count(), 1, "{found}");
    }
    // A second run replaces what the first one wrote.
    assert_eq!(tune(folder.path())["profile"], found["profile"]);
}

#[test]
fn every_command_uses_the_profile_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let path = tune(folder.path())["profile"].as_str().unwrap().to_owned();
    let mut profile: Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    for (_, tuning) in profile["models"].as_object_mut().unwrap() {
        tuning["choices"] = serde_json::json!({ "threads": 1, "threads_batch": 2, "chunk": 96 });
    }
    std::fs::write(&path, profile.to_string()).unwrap();
    let session = |more: &[&str]| -> Value {
        let all = [&["plan", "--json"], more].concat();
        let plan: Value = serde_json::from_str(&stdout(folder.path(), &all)).unwrap();
        plan["session"]["chunk"].clone()
    };
    assert_eq!(session(&[]), 96);
    assert_eq!(session(&["--no-profile"]), 512);
    // What is said counts more than what was measured.
    assert_eq!(session(&["--chunk", "64"]), 64);
    let told = stdout(folder.path(), &["plan", "--explain"]);
    assert!(told.contains(&format!("profile {path}")), "{told}");
    // The text does not depend on it.
    let generate = ["generate", "To be", "-n", "20", "--seed", "3"];
    let tuned = stdout(folder.path(), &generate);
    assert_eq!(tuned, stdout(folder.path(), &[&generate[..], &["--no-profile"]].concat()));
}

#[test]
fn profiles_of_no_use_are_told_and_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let told = stdout(folder.path(), &["plan", "--explain"]);
    assert!(told.contains("edgeformer tune makes one"), "{told}");
    let path = tune(folder.path())["profile"].as_str().unwrap().to_owned();
    for (text, problem) in [("damaged", "no profile of edgeformer tune"), ("{}", "no profile")] {
        std::fs::write(&path, text).unwrap();
        let told = stdout(folder.path(), &["plan", "--explain"]);
        assert!(told.contains("profile ignored") && told.contains(problem), "{told}");
    }
    // Limits that have changed are another machine.
    tune(folder.path());
    let foreign =
        std::fs::read_to_string(&path).unwrap().replace("\"parallelism\": ", "\"parallelism\": 9");
    std::fs::write(&path, foreign).unwrap();
    let told = stdout(folder.path(), &["plan", "--explain"]);
    assert!(told.contains("measured on another machine"), "{told}");
}

#[test]
fn tuning_in_vain_is_refused() {
    let told = refusal(&["tune", "--seconds", "0"], 2);
    assert!(told.contains("is no time"), "{told}");
    let told = refusal(&["tune", "no/such.gguf"], 1);
    assert!(told.contains("no/such.gguf"), "{told}");
    let told = refusal(&["tune", "a.gguf", "--model", "b.gguf"], 2);
    assert!(told.contains("two models"), "{told}");
}
