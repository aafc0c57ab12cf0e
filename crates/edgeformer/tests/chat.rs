//! `edgeformer chat`, with the embedded model and a chat template of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use edgeformer_models::gguf::{Gguf, GgufWriter};

const TEMPLATE: &str = "{% for m in messages %}{{ m.role | upper }}:\n{{ m.content }}\n\n{% endfor %}{% if add_generation_prompt %}KING:\n{% endif %}";

/// The embedded model, with a chat template.
fn talking_model(folder: &Path) -> PathBuf {
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/tiny/tiny-shakespeare.gguf");
    let tiny = Gguf::open(Path::new(tiny)).unwrap();
    let mut file = GgufWriter::new();
    for (key, value) in tiny.metadata().iter() {
        file.metadata(key, value);
    }
    file.metadata("tokenizer.chat_template", TEMPLATE);
    for info in tiny.tensors() {
        file.tensor(info.name(), &tiny.tensor(info.name()).unwrap());
    }
    let path = folder.join("talking.gguf");
    file.write_file(&path).unwrap();
    path
}

fn chat(model: &Path, arguments: &[&str]) -> (Child, ChildStdin) {
    let mut command = support::binary();
    command.arg("chat").arg("--model").arg(model).args(["--temperature", "0"]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    (child, stdin)
}

/// A whole talk, line by line.
fn talk(model: &Path, arguments: &[&str], lines: &[&str]) -> Output {
    let (child, mut stdin) = chat(model, arguments);
    for line in lines {
        writeln!(stdin, "{line}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn a_talk_is_saved_as_it_was_shown() {
    let folder = tempfile::tempdir().unwrap();
    let model = talking_model(folder.path());
    let saved = folder.path().join("talk.json");
    let save = format!("/save {}", saved.display());
    let output = talk(
        &model,
        &["-n", "12", "--system", "Be brief."],
        &["Who is there?", "", "And now?", &save],
    );
    let messages: serde_json::Value = serde_json::from_slice(&fs::read(&saved).unwrap()).unwrap();
    let roles: Vec<&str> =
        messages.as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user", "assistant"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    let answers = format!(
        "{}\n{}\n",
        messages[2]["content"].as_str().unwrap(),
        messages[4]["content"].as_str().unwrap()
    );
    assert_eq!(shown, answers);
    // The second turn runs only what is new.
    assert!(String::from_utf8(output.stderr).unwrap().contains("cached"));
}

#[test]
fn reset_forgets_the_talk() {
    let folder = tempfile::tempdir().unwrap();
    let model = talking_model(folder.path());
    let output =
        talk(&model, &["-n", "12", "--quiet"], &["Who is there?", "/reset", "Who is there?"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    let (first, second) = shown.split_at(shown.len() / 2);
    assert_eq!(first, second);
    assert!(output.stderr.is_empty());
}

#[test]
fn a_saved_talk_is_computed_once() {
    let folder = tempfile::tempdir().unwrap();
    let model = talking_model(folder.path());
    let file = folder.path().join("talk.cache");
    let arguments = ["-n", "12", "--prompt-cache", file.to_str().unwrap()];
    let first = talk(&model, &arguments, &["Who is there?"]);
    let again = talk(&model, &arguments, &["Who is there?"]);
    assert_eq!(again.stdout, first.stdout);
    let told = String::from_utf8(again.stderr).unwrap();
    assert!(told.contains("restored") && told.contains("cached"), "{told}");
    // Nothing was said, nothing is saved anew.
    let saved = fs::read(&file).unwrap();
    let told = String::from_utf8(talk(&model, &arguments, &[]).stderr).unwrap();
    assert!(told.contains("restored") && !told.contains("saved"), "{told}");
    assert_eq!(fs::read(&file).unwrap(), saved);
}

#[test]
fn mistakes_are_told_and_the_talk_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let model = talking_model(folder.path());
    let long = "word ".repeat(1000);
    let output = talk(
        &model,
        &["-n", "4"],
        &["/nonsense", "/save", "/save /nowhere/at/all", &long, "Who is there?"],
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    for told in ["unknown command /nonsense", "needs the name", "/nowhere/at/all", "--ctx-size"] {
        assert!(stderr.contains(told), "{told}: {stderr}");
    }
    assert!(!output.stdout.is_empty());
}

#[test]
fn models_without_a_template_are_refused() {
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/tiny/tiny-shakespeare.gguf");
    let (child, stdin) = chat(Path::new(tiny), &[]);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no chat template"));
}

/// Ctrl-C ends the answer; the program takes the next question.
#[cfg(unix)]
#[test]
fn an_interrupt_stops_the_answer_and_not_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let model = talking_model(folder.path());
    // So long an answer that the interrupt comes in the middle of it.
    let (mut child, mut stdin) = chat(&model, &["--ctx-size", "100000", "--ignore-eos", "--quiet"]);
    let mut shown = BufReader::new(child.stdout.take().unwrap());
    writeln!(stdin, "Who is there?").unwrap();
    let mut first = String::new();
    shown.read_line(&mut first).unwrap();
    let interrupted =
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let saved = folder.path().join("talk.json");
    writeln!(stdin, "/save {}", saved.display()).unwrap();
    drop(stdin);
    shown.read_to_string(&mut first).unwrap();
    assert!(child.wait().unwrap().success());
    let messages: serde_json::Value = serde_json::from_slice(&fs::read(&saved).unwrap()).unwrap();
    // What was said before the interrupt stays part of the talk.
    assert_eq!(messages[1]["content"].as_str().unwrap().to_owned() + "\n", first);
}
