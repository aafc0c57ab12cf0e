//! `cargo xtask bench --instructions`, end to end, where Valgrind is.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn bench(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["bench", "--as-built", "--instructions"]).args(arguments);
    let output = command.output().expect("the program was built for this test");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Whether Valgrind is there; says in one line that a test is skipped if not.
fn valgrind() -> bool {
    let found = Command::new("valgrind").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: there is no valgrind");
    }
    found
}

fn count(file: &Path, case: &str) -> u64 {
    let text = std::fs::read_to_string(file).expect("it was written");
    let baseline: Value = serde_json::from_str(&text).expect("it is JSON");
    baseline["tables"]["scalar"][case].as_u64().expect("the case was counted")
}

#[test]
fn cases_that_grew_are_named_and_fail() {
    if !valgrind() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("baseline.json");
    let only =
        ["--tables", "scalar", "--only", "linear/q8_0", "--baseline", file.to_str().unwrap()];

    let (code, stdout, stderr) = bench(&only);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.contains("| linear/q8_0/1-row | scalar |"), "{stdout}");
    assert!(stderr.contains("scalar linear/q8_0/1-row has no baseline"), "{stderr}");

    let (code, _, stderr) = bench(&[&only[..], &["--bless"]].concat());
    assert_eq!(code, Some(0), "{stderr}");
    let counted = count(&file, "linear/q8_0/1-row");
    // 96 rows of 512 weights: at least an instruction each, at most a hundred.
    assert!((49_152..4_915_200).contains(&counted), "{counted}");
    assert!(count(&file, "linear/q8_0/33-rows") > 20 * counted);

    // The same program counts the same, whoever else runs.
    let (code, stdout, stderr) = bench(&[&only[..], &["--json"]].concat());
    assert_eq!(code, Some(0), "{stderr}");
    let comparison: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(comparison["rows"][0]["instructions"], counted, "{comparison:#}");

    let less = counted * 9 / 10;
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(&counted.to_string(), &less.to_string())).unwrap();
    let (code, stdout, stderr) = bench(&only);
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stderr.contains("linear/q8_0/1-row grew by 11.1 %"), "{stderr}");
}

#[test]
fn wrong_questions_are_answered_in_a_line() {
    if !valgrind() {
        return;
    }
    for (arguments, expected) in [
        (&["--only", "abacus"][..], "no case has that in its name; they begin with attention"),
        (&["--tables", "abacus"], "unknown instruction set \"abacus\""),
    ] {
        let (code, _, stderr) = bench(arguments);
        assert!(code == Some(1) && stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}
