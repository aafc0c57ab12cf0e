//! `--speculate` and `--draft`: the same text, and what is told of it.

use crate::support::{refusal, run, stdout};

const PROMPT: &str = "First Citizen:\nSpeak, speak.\n\nFirst Citizen:\nSpeak, speak.\n\nFirst";
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/tiny/tiny-shakespeare.gguf");

fn generate(more: &[&str]) -> Vec<String> {
    let common = ["generate", PROMPT, "-n", "80", "--seed", "5", "--ignore-eos"];
    common.iter().chain(more).map(ToString::to_string).collect()
}

fn arguments(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

#[test]
fn the_text_is_the_one_without_speculation() {
    for temperature in [["--temp", "0"], ["--temp", "0.8"]] {
        let plain = stdout(&arguments(&generate(&temperature)));
        for how in [["--speculate", "lookup"], ["--draft", MODEL]] {
            let all = generate(&[temperature, how].concat());
            assert_eq!(stdout(&arguments(&all)), plain, "{how:?}");
        }
    }
}

#[test]
fn json_and_statistics_say_how_many_guesses_were_right() {
    let all = generate(&["--temp", "0", "--speculate", "lookup", "--draft-max", "4", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&stdout(&arguments(&all))).unwrap();
    let count = |name: &str| answer["report"][name].as_u64().unwrap();
    assert!(count("accepted_tokens") <= count("drafted_tokens"));
    let plain = generate(&["--json"]);
    let answer: serde_json::Value = serde_json::from_str(&stdout(&arguments(&plain))).unwrap();
    assert_eq!(answer["report"]["drafted_tokens"], 0);
    let output = run(&arguments(&generate(&[])));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("guessed"));
}

#[test]
fn what_cannot_guess_is_refused() {
    let missing = refusal(&["generate", "x", "--draft", "no/such/model.gguf"], 1);
    assert!(missing.contains("no/such/model.gguf"), "{missing}");
    let unknown = refusal(&["generate", "x", "--speculate", "magic"], 2);
    assert!(unknown.contains("known are off, lookup"), "{unknown}");
}
