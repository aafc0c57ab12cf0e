//! `eval`: perplexity, divergence, accuracy.

use std::fs;
use std::path::{Path, PathBuf};

use edgeformer_conformance::shared;
use serde_json::Value;

use crate::support::{encoder, refusal, stdout};
use crate::text;

const LINES: &str =
    "To be, or not to be, that is the question, my lord: and so the king is dead.\n";

/// A text of so many lines.
fn lines(folder: &Path, count: usize) -> PathBuf {
    let path = folder.join("text.txt");
    let line = |number| format!("{number}. {LINES}");
    fs::write(&path, (0..count).map(line).collect::<String>()).unwrap();
    path
}

fn json(arguments: &[&str]) -> Value {
    let all = [&["eval"], arguments, &["--quiet", "--json"]].concat();
    serde_json::from_str(&stdout(&all)).unwrap()
}

#[test]
fn help_texts_of_measures_are_complete() {
    insta::assert_snapshot!("help_eval", stdout(&["eval", "--help"]));
    for measure in ["perplexity", "kl", "accuracy", "embeddings"] {
        insta::assert_snapshot!(
            format!("help_eval_{measure}"),
            stdout(&["eval", measure, "--help"])
        );
    }
}

#[test]
fn perplexity_is_told_to_people_and_programs() {
    let folder = tempfile::tempdir().unwrap();
    let lines = lines(folder.path(), 12);
    let all = ["perplexity", "--text", text(&lines), "--ctx-size", "32"];
    let found = json(&all);
    let number = |key: &str| found[key].as_f64().unwrap();
    assert!(number("perplexity") > 1.0 && number("perplexity_error") > 0.0, "{found}");
    assert!((number("nll").exp() / number("perplexity") - 1.0).abs() < 1e-12, "{found}");
    assert_eq!((found["ctx_size"].as_u64(), found.get("stride")), (Some(32), None));
    assert_eq!(number("tokens"), number("chunks") * 15.0);
    // A token of this text has more than one byte and fewer than four.
    let bits_per_token = number("nll") / std::f64::consts::LN_2;
    assert!(number("bits_per_byte") < bits_per_token, "{found}");
    assert!(number("bits_per_byte") > bits_per_token / 4.0, "{found}");
    let told = stdout(&[&["eval"], &all[..], &["--quiet"]].concat());
    assert!(told.starts_with(&format!("perplexity {:.4} +/- ", number("perplexity"))), "{told}");
    let two = json(&[&all[..], &["--chunks", "2", "--threads", "1", "--chunk", "5"]].concat());
    assert_eq!((two["chunks"].as_u64(), two["tokens"].as_u64()), (Some(2), Some(30)));
    let sliding = json(&[&all[..], &["--stride", "8"]].concat());
    assert_eq!(sliding["stride"], 8);
    assert!(sliding["tokens"].as_u64() > found["tokens"].as_u64(), "{sliding}");
}

#[test]
fn a_model_is_its_own_best_reference() {
    let folder = tempfile::tempdir().unwrap();
    let lines = lines(folder.path(), 12);
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/tiny/tiny-shakespeare.gguf");
    let all = ["kl", "--text", text(&lines), "--ctx-size", "32", "--reference", tiny];
    let same = json(&all);
    assert_eq!((same["kl_mean"].as_f64(), same["top1_agreement"].as_f64()), (Some(0.0), Some(1.0)));
    assert_eq!(same["perplexity_ratio"], 1.0);
    assert_eq!(same["by_position"].as_array().unwrap().len(), 15);
    let floats = json(&[&all[..], &["--activations", "f32"]].concat());
    assert!(floats["kl_mean"].as_f64().unwrap() > 0.0, "{floats}");
    let told = stdout(&[&["eval"], &all[..], &["--quiet"]].concat());
    assert!(told.contains("KL divergence") && told.contains("16 to 16"), "{told}");
}

#[test]
fn questions_are_answered_and_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let (file, state) = (folder.path().join("questions.jsonl"), folder.path().join("state.json"));
    let questions = [
        r#"{"context": "To be, or not to", "choices": ["be", "xylophone"], "label": 0}"#,
        r#"{"question": "My lord, the", "choices": ["zzzz", "king"], "answer": "1"}"#,
    ];
    fs::write(&file, questions.join("\n")).unwrap();
    let all = ["accuracy", "--questions", text(&file), "--resume", text(&state)];
    let found = json(&all);
    assert_eq!((found["acc"].as_f64(), found["questions"].as_u64()), (Some(1.0), Some(2)));
    assert!(found["acc_ci95"]["low"].as_f64().unwrap() < 1.0);
    assert_eq!(json(&all), found, "a run that is done says the same again");
    fs::write(&file, questions[0].replace("\"label\": 0", "\"label\": 2")).unwrap();
    let told = refusal(&[&["eval"], &all[..], &["--quiet"]].concat(), 1);
    assert!(told.contains("questions.jsonl: line 1: label 2 is outside"), "{told}");
    fs::write(&file, questions[0]).unwrap();
    let told = refusal(&[&["eval"], &all[..], &["--quiet"]].concat(), 1);
    assert!(told.contains("state.json: it is the state of another run"), "{told}");
}

#[test]
fn wrong_requests_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let lines = lines(folder.path(), 1);
    let eval = |arguments: &[&str], code| refusal(&[&["eval"], arguments, &["-q"]].concat(), code);
    let told = eval(&["perplexity", "--text", text(&lines)], 1);
    assert!(told.contains("text.txt: the text has ") && told.contains("takes 512"), "{told}");
    assert!(eval(&["perplexity", "--text", "/nowhere.txt"], 1).contains("/nowhere.txt"));
    assert!(eval(&["perplexity", "--text", "x", "--chunks", "0"], 2).contains("1 or more"));
    let stride = ["perplexity", "--text", text(&lines), "-c", "16", "--stride", "16"];
    assert!(eval(&stride, 1).contains("choose 1 to 15"));
    assert!(eval(&["kl", "--text", text(&lines)], 2).contains("--reference"));
    assert!(eval(&["accuracy"], 2).contains("--images"));
    let images = ["accuracy", "--images", text(folder.path())];
    assert!(eval(&images, 2).contains("images alone say nothing"));
    let reference = [&images[..], &["--reference", "x"]].concat();
    assert!(eval(&reference, 1).contains("no JPEG or PNG"));
    let Some(bert) = shared("fixtures/hf/bert") else { return };
    let told = eval(&["perplexity", "--text", text(&lines), "-m", text(&bert)], 1);
    assert!(told.contains("continues no text") && told.contains("eval embeddings"), "{told}");
    let embeddings = ["embeddings", "--text", text(&lines), "--reference", text(&bert)];
    assert!(eval(&embeddings, 1).contains("no tokenizer"));
    let told = eval(&["perplexity", "--text", text(&lines), "-c", "16", "--resume", "/no/s"], 1);
    assert!(told.contains("/no/s"), "{told}");
    let stories = shared("models/stories260k/stories260k-f32.gguf").unwrap();
    let kl = ["kl", "--text", text(&lines), "--reference", text(&stories)];
    assert!(eval(&kl, 1).contains("different vocabularies"));
}

#[test]
fn images_are_named_as_their_labels_say() {
    let Some(model) = shared("models/vit-tiny-imagenet") else { return };
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.jsonl");
    let expected: Value =
        serde_json::from_slice(&fs::read(model.join("expected.json")).unwrap()).unwrap();
    let count = if crate::support::is_emulated() { 1 } else { 4 };
    let line = |(name, class): (&String, &Value)| {
        serde_json::json!({ "image": name, "label": class["label"] }).to_string()
    };
    let some: Vec<String> = expected.as_object().unwrap().iter().take(count).map(line).collect();
    fs::write(&labels, some.join("\n")).unwrap();
    let images = model.join("images");
    let all =
        ["accuracy", "-m", text(&model), "--images", text(&images), "--labels", text(&labels)];
    let found = json(&[&all[..], &["--reference", text(&model)]].concat());
    assert_eq!(found["images"], count);
    for share in ["top1", "top5", "top1_agreement"] {
        assert_eq!(found[share]["share"], 1.0, "{found}");
        assert!(found[share]["ci95"]["low"].as_f64().unwrap() < 1.0);
    }
    fs::write(&labels, some[0].replace("\"label\":\"", "\"label\":\"no ")).unwrap();
    let told = refusal(&[&["eval"], &all[..], &["--quiet"]].concat(), 1);
    assert!(told.contains(".JPEG: the model has no class \"no "), "{told}");
}

#[test]
fn an_encoder_is_as_itself() {
    let folder = tempfile::tempdir().unwrap();
    let Some(bert) = encoder(folder.path()) else { return };
    let lines = folder.path().join("lines.txt");
    fs::write(&lines, "a text\n\nanother one\n").unwrap();
    let all = ["embeddings", "--text", text(&lines), "-m", text(&bert), "--reference", text(&bert)];
    let found = json(&all);
    assert_eq!(found["texts"], 2);
    for cosine in ["cosine_mean", "cosine_p1", "cosine_min"] {
        assert!((found[cosine].as_f64().unwrap() - 1.0).abs() < 1e-6, "{found}");
    }
    let first = json(&[&all[..], &["--pooling", "cls"]].concat());
    assert!((first["cosine_min"].as_f64().unwrap() - 1.0).abs() < 1e-6, "{first}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_was_measured() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let folder = tempfile::tempdir().unwrap();
    let lines = lines(folder.path(), 1500);
    let state = folder.path().join("state.json");
    let plain = ["perplexity", "--text", text(&lines), "-c", "256", "--chunks", "60"];
    let kept = [&plain[..], &["--resume", text(&state)]].concat();
    let mut child = crate::support::edgeformer(&[&["eval"], &kept[..]].concat())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.any(|line| line.contains("planned")), "the model is open");
    // It is there when the first window is read.
    while !state.exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let last = told.last().unwrap();
    assert!(last.contains("of 60: the same command with --resume"), "{last}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let done = fs::read_to_string(&state).unwrap().matches("count").count();
    assert!(done < 60, "{done}");
    assert_eq!(json(&kept), json(&plain));
}
