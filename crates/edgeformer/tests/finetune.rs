//! The built binary lets a real model learn:
//!
//! ```text
//! cargo test -p edgeformer --features train --test finetune
//! ```
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use edgeformer_conformance::shared;
use serde_json::{Value, json};
use support::{edgeformer, refusal, run, stdout};

/// A model of 260,000 weights that tells stories.
fn model() -> Option<PathBuf> {
    shared("models/stories260k/stories260k-f32.gguf")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Records of another kind than the model knows.
fn records(folder: &Path, count: usize) -> PathBuf {
    let names = ["Ann", "Ben", "Cid", "Dot", "Eve"];
    let line = |index: usize| {
        let (a, b) = (names[index % 5], names[index / 5 % 5]);
        json!({
            "prompt": format!("Who came, {a} or {b}?"),
            "completion": format!(" {b} came, and {a} did not come at all."),
        })
        .to_string()
    };
    let path = folder.join("records.jsonl");
    fs::write(&path, (0..count).map(line).collect::<Vec<_>>().join("\n")).unwrap();
    path
}

fn arguments<'a>(model: &'a Path, data: &'a Path, to: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let paths = ["--model", text(model), "--data", text(data), "--output", text(to)];
    [&["finetune"], &paths[..], &["--quiet", "--batch-size", "4"], more].concat()
}

#[test]
fn an_adapter_is_learned_and_every_backend_tells_what_it_has_learned() {
    let Some(model) = model() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (data, to) = (records(folder.path(), 50), folder.path().join("run"));
    let more = ["--lora-r", "8", "--max-steps", "60", "--learning-rate", "1e-2", "--json"];
    let done: Value = serde_json::from_str(&stdout(&arguments(&model, &data, &to, &more))).unwrap();
    let number = |name: &str| done[name].as_f64().unwrap();
    assert!(done["best"][1].as_f64().unwrap() < 0.5 * number("first_validation"), "{done}");
    assert!(number("trainable") < 0.2 * number("weights"), "{done}");
    for file in ["metrics.jsonl", "loss.png", "TRAINING.md", "adapter/adapter_config.json"] {
        assert!(to.join(file).is_file(), "{file}");
    }
    let card = fs::read_to_string(to.join("TRAINING.md")).unwrap();
    assert!(card.contains("| steps | 60 of 60") && card.contains("SHA-256"), "{card}");

    let (adapter, prompt) = (to.join("adapter"), "Who came, Ann or Ben?");
    let common = ["--model", text(&model), "--temp", "0", "-n", "16", "--quiet", prompt];
    let before = stdout(&[&["generate"], &common[..]].concat());
    let with = ["generate", "--adapter", text(&adapter), "--backend"];
    let cpu = stdout(&[&with[..], &["cpu"], &common].concat());
    assert!(cpu.contains("came, and") && !before.contains("came, and"), "{before} {cpu}");
    assert_eq!(stdout(&[&with[..], &["candle"], &common].concat()), cpu);
    #[cfg(feature = "onnx")]
    if run(&["devices", "--backend", "onnx"]).status.success() {
        assert_eq!(stdout(&[&with[..], &["onnx"], &common].concat()), cpu);
    }
}

/// Paragraphs of stories that the model was not given, as records.
fn stories(folder: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(shared("data/tinystories-sample/tinystories_200k.txt")?).unwrap();
    let long = text.lines().filter(|line| line.len() > 200).take(400);
    let lines: Vec<String> = long.map(|line| json!({ "text": line }).to_string()).collect();
    let path = folder.join("stories.jsonl");
    fs::write(&path, lines.join("\n")).unwrap();
    Some(path)
}

#[test]
fn stories_of_another_sample_are_learned() {
    let folder = tempfile::tempdir().unwrap();
    let (Some(model), Some(data)) = (model(), stories(folder.path())) else { return };
    let to = folder.path().join("run");
    let more = ["--lora-r", "8", "--max-steps", "60", "--learning-rate", "2e-3", "--json"];
    let done: Value = serde_json::from_str(&stdout(&arguments(&model, &data, &to, &more))).unwrap();
    let first = done["first_validation"].as_f64().unwrap();
    let best = done["best"][1].as_f64().unwrap();
    assert!(best < 0.99 * first, "{best} is not below {first}");
    let adapter = to.join("adapter");
    let common = ["--model", text(&model), "--temp", "0", "-n", "24", "--quiet", "One day, Tom"];
    let with = ["generate", "--adapter", text(&adapter), "--backend"];
    let cpu = stdout(&[&with[..], &["cpu"], &common].concat());
    assert!(cpu != stdout(&[&["generate"], &common[..]].concat()), "{cpu}");
    assert_eq!(stdout(&[&with[..], &["candle"], &common].concat()), cpu);
    #[cfg(feature = "onnx")]
    if run(&["devices", "--backend", "onnx"]).status.success() {
        assert_eq!(stdout(&[&with[..], &["onnx"], &common].concat()), cpu);
    }
}

#[test]
fn a_run_stays_within_its_memory_budget_or_says_what_would() {
    let Some(model) = model() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (data, to) = (records(folder.path(), 100), folder.path().join("run"));
    let way = ["--method", "full", "--batch-size", "50", "--json"];
    let arguments = |data: &Path, more: &[&str]| -> Vec<String> {
        let paths = ["--model", text(&model), "--data", text(data), "--output", text(&to)];
        let all = [&["finetune", "--quiet"], &paths[..], &way, more].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    let read = |more: &[&str]| -> Value {
        let all = arguments(&data, more);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        serde_json::from_str(&stdout(&all)).unwrap()
    };
    let total = |plan: &Value| plan["total"].as_u64().unwrap();
    let free = read(&["--plan"]);
    assert!(!to.exists(), "a plan writes nothing");
    assert_eq!(free["micro_batch_tokens"], 2048);
    let again = read(&["--plan", "--gradient-checkpointing"]);
    assert!(total(&again) < total(&free), "{again} {free}");
    let budget = (total(&free) - 1).to_string();
    let within = read(&["--memory-budget", &budget, "--max-steps", "2"]);
    let memory = &within["memory"];
    assert!(total(memory) < total(&free) && memory["micro_batch_tokens"].as_u64() < Some(2048));
    assert_eq!(memory["gradient_checkpointing"], false);

    let long = folder.path().join("long.jsonl");
    fs::write(&long, json!({ "text": "To be or not. ".repeat(55) }).to_string()).unwrap();
    let refused = |data: &Path, budget: &str| {
        let all = arguments(data, &["--validation-split", "0", "--memory-budget", budget]);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        refusal(&all, 1)
    };
    let error = refused(&long, "46MiB");
    assert!(error.contains("it would fit with") && error.contains("--ctx-size"), "{error}");
    let error = refused(&long, "1MiB");
    assert!(error.contains("more than the memory budget of 1.0 MiB; neither"), "{error}");
}

/// Weights that were rounded while they learned lose nothing when they are stored so.
#[test]
fn a_model_that_knows_its_storage_loses_nothing_in_it() {
    let Some(model) = model() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let data = records(folder.path(), 60);
    let held_out = at("held-out.txt");
    let line = |index: usize| format!("Who came, Ann or Ben? Ben came, {index} times. ");
    fs::write(&held_out, (0..40).map(line).collect::<String>()).unwrap();
    let loss_of_storing = |name: &str, more: &[&str]| {
        let (to, stored) = (at(name), at(&format!("{name}.gguf")));
        let way = ["--method", "full", "--max-steps", "60", "--learning-rate", "2e-3", "--json"];
        let done = stdout(&arguments(&model, &data, &to, &[&way, more].concat()));
        let done: Value = serde_json::from_str(&done).unwrap();
        let learned = done["result"].as_str().unwrap().to_owned();
        let way = ["--format", "q4_0", "--method", "rtn", "--quiet"];
        stdout(&[&["quantize", &learned, text(&stored)], &way[..]].concat());
        let perplexity = |model: &str| {
            let of = ["eval", "perplexity", "--text", text(&held_out), "--ctx-size", "128"];
            let json = stdout(&[&of[..], &["--model", model, "--quiet", "--json"]].concat());
            serde_json::from_str::<Value>(&json).unwrap()["perplexity"].as_f64().unwrap().ln()
        };
        (perplexity(text(&stored)) - perplexity(&learned)).abs()
    };
    let plain = loss_of_storing("plain", &[]);
    let aware = loss_of_storing("aware", &["--quantize-aware", "q4_0"]);
    assert!(aware < 0.5 * plain && aware < 0.02, "{aware} {plain}");
    let error = refusal(&arguments(&model, &data, &at("no"), &["--quantize-aware", "q4_0"]), 1);
    assert!(error.contains("--method full"), "{error}");
    let odd = ["--method", "full", "--quantize-aware", "q4_k"];
    let error = refusal(&arguments(&model, &data, &at("no"), &odd), 1);
    assert!(error.contains("rounded to q4_k"), "{error}");
}

#[test]
fn every_way_of_learning_lowers_the_loss_and_writes_what_runs() {
    let Some(model) = model() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = records(folder.path(), 40);
    let ways: [(&str, &[&str]); 5] = [
        ("full", &["--method", "full", "--ema", "0.8"]),
        ("blocks", &["--method", "last-blocks", "--last-blocks", "2", "--optim-8bit"]),
        ("head", &["--method", "head", "--learning-rate", "1e-2", "--schedule", "linear"]),
        ("qlora", &["--base-type", "q8_0", "--learning-rate", "1e-2", "--lora-dropout", "0.05"]),
        (
            "teacher",
            &[
                "--teacher",
                text(&model),
                "--target-modules",
                "q_proj,v_proj",
                "--lora-r",
                "4",
                "--learning-rate",
                "1e-2",
            ],
        ),
    ];
    for (name, way) in ways {
        let to = folder.path().join(name);
        let more = [way, &["--max-steps", "30", "--json"]].concat();
        let done = stdout(&arguments(&model, &data, &to, &more));
        let done: Value = serde_json::from_str(&done).unwrap();
        let best = done["best"][1].as_f64().unwrap();
        let first = done["first_validation"].as_f64().unwrap();
        assert!(best < 0.95 * first, "{name}: {best} is not below {first}");
        let result = done["result"].as_str().unwrap();
        let with: &[&str] = match result.ends_with(".gguf") {
            true => &["--model", result],
            false => &["--model", text(&model), "--adapter", result],
        };
        let answer = stdout(&[&["generate", "--quiet", "-n", "4", "Who came?"], with].concat());
        assert!(!answer.is_empty(), "{name}");
    }
}

/// A folder a class, images of its colour.
#[cfg(feature = "vision")]
fn colours(folder: &Path, classes: [&str; 2]) -> PathBuf {
    let path = folder.join("colours");
    for (class, [red, blue]) in classes.into_iter().zip([[220, 20], [20, 220]]) {
        fs::create_dir_all(path.join(class)).unwrap();
        for index in 0..6u8 {
            let image = image::RgbImage::from_pixel(32, 32, image::Rgb([red, index * 9, blue]));
            image.save(path.join(class).join(format!("{index}.png"))).unwrap();
        }
    }
    path
}

/// A small vision transformer that says how images are prepared.
#[cfg(feature = "vision")]
fn vision_transformer(folder: &Path) -> Option<PathBuf> {
    let (from, to) = (shared("fixtures/hf/vit")?, folder.join("vit"));
    fs::create_dir(&to).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let half = [0.5; 3];
    let prepared = json!({
        "do_resize": true, "size": { "height": 32, "width": 32 }, "resample": 2,
        "do_rescale": true, "rescale_factor": 1.0 / 255.0,
        "do_normalize": true, "image_mean": half, "image_std": half,
    });
    fs::write(to.join("preprocessor_config.json"), prepared.to_string()).unwrap();
    Some(to)
}

#[cfg(feature = "vision")]
#[test]
fn a_vision_transformer_learns_from_folders_of_images() {
    let folder = tempfile::tempdir().unwrap();
    let Some(model) = vision_transformer(folder.path()) else { return };
    let (data, to) = (colours(folder.path(), ["LABEL_1", "LABEL_3"]), folder.path().join("run"));
    let way = ["--method", "full", "--max-steps", "40", "--learning-rate", "2e-3", "--json"];
    let way = [&way[..], &["--validation-split", "0.2"]].concat();
    let done: Value = serde_json::from_str(&stdout(&arguments(&model, &data, &to, &way))).unwrap();
    let first = done["first_validation"].as_f64().unwrap();
    let best = done["best"][1].as_f64().unwrap();
    assert!(best < 0.2 * first, "{best} is not far below {first}");
    let learned = done["result"].as_str().unwrap();
    for class in ["LABEL_1", "LABEL_3"] {
        let file = data.join(class).join("5.png");
        let told = stdout(&["classify", "--model", learned, "--quiet", "--json", text(&file)]);
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["images"][0]["classes"][0]["name"], class, "{told}");
    }

    fs::rename(data.join("LABEL_3"), data.join("zebra")).unwrap();
    let error = refusal(&arguments(&model, &data, &folder.path().join("other"), &way), 1);
    assert!(error.contains("zebra: class \"zebra\" is none of the model's"), "{error}");
    fs::write(data.join("zebra/5.png"), "no image").unwrap();
    fs::rename(data.join("zebra"), data.join("LABEL_3")).unwrap();
    let error = refusal(&arguments(&model, &data, &folder.path().join("third"), &way), 1);
    assert!(error.contains("LABEL_3/5.png"), "{error}");
}

/// The adapter of a run.
fn bits(to: &Path) -> Vec<u8> {
    fs::read(to.join("adapter/adapter_model.safetensors")).unwrap()
}

/// Killed at any moment, a run goes on to the same bits.
#[test]
fn a_killed_run_ends_in_the_bits_of_one_that_never_was() {
    let Some(model) = model() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = records(folder.path(), 50);
    let more = ["--max-steps", "200", "--save-steps", "7", "--lora-dropout", "0.1"];
    let unbroken = folder.path().join("unbroken");
    stdout(&arguments(&model, &data, &unbroken, &more));
    let broken = folder.path().join("broken");
    let mut kills = 0;
    // No two kills are as far from each other.
    for wait in (0..60).map(|turn| Duration::from_millis(150 + turn * 37 % 331)) {
        let mut child = edgeformer(&arguments(&model, &data, &broken, &more));
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(wait);
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        if kills == 20 {
            break;
        }
    }
    stdout(&arguments(&model, &data, &broken, &more));
    assert!(kills > 2, "{kills} kills");
    assert_eq!(bits(&broken), bits(&unbroken));
    let steps = |to: &Path| -> Vec<u64> {
        let lines = fs::read_to_string(to.join("metrics.jsonl")).unwrap();
        let step = |line: &str| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64();
        lines.lines().filter_map(step).collect()
    };
    assert_eq!(steps(&broken), steps(&unbroken));
}

/// Batches are cut into shares by their records alone.
#[test]
fn threads_change_no_bit_of_what_is_learned() {
    let Some(model) = model() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = records(folder.path(), 50);
    let learned = |threads: &str| {
        let to = folder.path().join(threads);
        let more = ["--max-steps", "12", "--lora-dropout", "0.1"];
        let mut command = edgeformer(&arguments(&model, &data, &to, &more));
        assert!(command.env("RAYON_NUM_THREADS", threads).status().unwrap().success());
        bits(&to)
    };
    let one = learned("1");
    assert_eq!(learned("2"), one);
    assert_eq!(learned("3"), one);
}

/// A vocabulary, a configuration and a text become a model that writes such text.
#[test]
fn a_new_model_learns_from_a_text_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (file, start, to) = (at("text.txt"), at("start"), at("run"));
    let line = |index: usize| format!("{index} and {} are {}.\n", index % 7, index + index % 7);
    fs::write(&file, (0..600).map(line).collect::<String>()).unwrap();
    let vocabulary = ["--vocab-size", "320", "--quiet", "--json"];
    let made = [&["tokenizer", "train", text(&file), "--output", text(&start)], &vocabulary[..]];
    let made: Value = serde_json::from_str(&stdout(&made.concat())).unwrap();
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "vocab_size": made["vocabulary"], "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": true, "bos_token_id": 0, "eos_token_id": 0,
    });
    fs::write(start.join("config.json"), config.to_string()).unwrap();
    let train = ["train", "--config", text(&start), "--data", text(&file), "--output", text(&to)];
    let run = ["--max-steps", "60", "--learning-rate", "5e-3", "--quiet", "--json"];
    let done = stdout(&[&train[..], &run].concat());
    let done: Value = serde_json::from_str(&done).unwrap();
    let [first, best] =
        [&done["first_validation"], &done["best"][1]].map(|it| it.as_f64().unwrap());
    assert!(first > 5.0 && best < 0.4 * first, "{best} is not far below {first}");
    let model = done["result"].as_str().unwrap();
    let written = ["generate", "--model", model, "-n", "24", "--temp", "0", "--quiet", "12 and 5"];
    let written = stdout(&written);
    assert!(written.contains("are"), "{written}");
    // A start is random, and the same for the same seed.
    let again = at("again");
    let train =
        ["train", "--config", text(&start), "--data", text(&file), "--output", text(&again)];
    stdout(&[&train[..], &["--max-steps", "1", "--quiet"]].concat());
    let start = |to: &Path| fs::read(to.join("initial/model.safetensors")).unwrap();
    assert_eq!(start(&to), start(&again));
}

/// The commands of docs/training.md, one after the other.
#[test]
fn the_five_commands_of_the_documentation_work() {
    let Some(model) = model() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (pool, selected, to) = (records(folder.path(), 60), at("selected.jsonl"), at("run"));
    let held_out = at("held-out.txt");
    fs::write(&held_out, "Who came, Ann or Ben? Ben came, and Ann did not come at all. ".repeat(9))
        .unwrap();
    let keep = ["--keep", "20", "--no-duplicates", "--quiet"];
    stdout(&[&["curate", text(&pool), "--output", text(&selected)], &keep[..]].concat());
    assert_eq!(fs::read_to_string(&selected).unwrap().lines().count(), 20);
    stdout(&arguments(&model, &selected, &to, &["--epochs", "8", "--learning-rate", "1e-2"]));
    let adapter = to.join("adapter");
    let adapted = ["--model", text(&model), "--adapter", text(&adapter)];
    let perplexity = |model: &[&str]| {
        let of = ["eval", "perplexity", "--text", text(&held_out), "--ctx-size", "64"];
        let json = stdout(&[&of, model, &["--quiet", "--json"]].concat());
        serde_json::from_str::<Value>(&json).unwrap()["perplexity"].as_f64().unwrap()
    };
    // The text repeats itself, which the model alone foretells too: what counts is that the adapter
    // is measured.
    let (before, after) = (perplexity(&adapted[..2]), perplexity(&adapted));
    assert!(after.is_finite() && (after - before).abs() > 0.1, "{after} is {before}");
    let prompt = ["--temp", "0", "-n", "12", "--quiet", "Who came?"];
    let beside = stdout(&[&["generate"], &adapted[..], &prompt].concat());
    let merged = at("tuned.gguf");
    stdout(&[&["merge"], &adapted[..], &["--output", text(&merged), "--quiet"]].concat());
    assert_eq!(stdout(&[&["generate", "--model", text(&merged)], &prompt[..]].concat()), beside);
}

#[test]
fn what_cannot_be_learned_is_told_and_nothing_is_lost() {
    let Some(model) = model() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (data, to) = (records(folder.path(), 10), folder.path().join("run"));
    let refused = |data: &Path, more: &[&str]| {
        refusal(&arguments(&model, data, &to, more), 1).replace(text(folder.path()), "[folder]")
    };
    let long = folder.path().join("long.jsonl");
    fs::write(&long, json!({ "text": "a b c ".repeat(900) }).to_string()).unwrap();
    let error = refused(&long, &[]);
    assert!(
        error.contains("[folder]/long.jsonl:1: has ") && error.contains("--truncate"),
        "{error}"
    );
    fs::write(&long, "{\"text\": \"a b\"}\n{\"text\": ").unwrap();
    let error = refused(&long, &["--strict"]);
    assert!(error.contains("long.jsonl:2: "), "{error}");
    let error = refused(&data, &["--target-modules", "w_proj"]);
    assert!(error.contains("attn_q") && error.contains("all-linear"), "{error}");
    let error = refused(&data, &["--method", "last-blocks", "--last-blocks", "99"]);
    assert!(error.contains("the model has 5"), "{error}");
    let error =
        refused(&data, &["--learning-rate", "1e30", "--max-steps", "30", "--warmup-ratio", "0"]);
    assert!(error.contains("lower the learning rate"), "{error}");

    stdout(&arguments(&model, &data, &to, &["--max-steps", "2"]));
    let before = bits(&to);
    let error = refused(&data, &["--max-steps", "2", "--seed", "5"]);
    assert!(error.contains("with other settings, data or model"), "{error}");
    assert_eq!(bits(&to), before);
}
