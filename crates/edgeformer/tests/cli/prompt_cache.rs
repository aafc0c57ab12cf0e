//! `--prompt-cache`: a prompt that is computed once.

use std::fs;
use std::path::Path;

use edgeformer_conformance::shared;

use crate::support::{refusal, run, stdout};
use crate::text;

const PROMPT: &str = "To be or not to be, that is the question";

fn generate(prompt: &str, file: &Path) -> serde_json::Value {
    let file = text(file);
    let json = stdout(&[
        "generate",
        prompt,
        "-n",
        "12",
        "--temperature",
        "0",
        "--json",
        "--prompt-cache",
        file,
    ]);
    serde_json::from_str(&json).unwrap()
}

#[test]
fn the_second_run_computes_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompt.cache");
    let first = generate(PROMPT, &file);
    assert_eq!(first["stats"]["cached_tokens"], 0);
    let again = generate(PROMPT, &file);
    assert_eq!(again["text"], first["text"]);
    let prompt = first["stats"]["prompt_tokens"].as_u64().unwrap();
    assert_eq!(again["stats"]["cached_tokens"], prompt - 1);
    // A longer prompt takes over all of the shorter one.
    let longer = format!("{PROMPT}: whether it is nobler");
    let plain = stdout(&["generate", &longer, "-n", "12", "--temperature", "0", "--quiet"]);
    let longer = generate(&longer, &file);
    assert_eq!(longer["text"], plain.as_str());
    assert!(longer["stats"]["cached_tokens"].as_u64().unwrap() >= prompt - 1);
}

#[test]
fn a_file_that_does_not_belong_here_is_refused_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompt.cache");
    let arguments = ["generate", PROMPT, "-n", "4", "--quiet", "--prompt-cache", text(&file)];
    stdout(&arguments);
    let saved = fs::read(&file).unwrap();

    let other_options = [&arguments[..], &["--cache-type-k", "f32"]].concat();
    assert!(refusal(&other_options, 1).contains("k=f32"));
    assert_eq!(fs::read(&file).unwrap(), saved);

    if let Some(model) = shared("models/stories260k/stories260k-f32.gguf") {
        let other_model = [&arguments[..], &["--model", text(&model)]].concat();
        assert!(refusal(&other_model, 1).contains("another model"));
        assert_eq!(fs::read(&file).unwrap(), saved);
    }

    fs::write(&file, &saved[..saved.len() / 2]).unwrap();
    let told = refusal(&arguments, 1);
    assert!(told.contains("prompt.cache") && told.lines().count() == 1, "{told}");
    assert_eq!(fs::read(&file).unwrap().len(), saved.len() / 2);
    fs::write(&file, "something else").unwrap();
    assert!(refusal(&arguments, 1).contains("EFPROMPT"));
    assert!(
        refusal(&["generate", "x", "--quiet", "--prompt-cache", text(folder.path())], 1)
            .contains(text(folder.path()))
    );
}

#[test]
fn it_says_what_it_restored_and_saved() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompt.cache");
    let arguments = ["generate", PROMPT, "-n", "4", "--prompt-cache", text(&file)];
    let first = String::from_utf8(run(&arguments).stderr).unwrap();
    assert!(first.contains("saved") && !first.contains("restored"), "{first}");
    let second = String::from_utf8(run(&arguments).stderr).unwrap();
    assert!(second.contains("restored") && second.contains("cached"), "{second}");
}
