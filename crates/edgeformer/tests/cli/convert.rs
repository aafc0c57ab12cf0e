//! `convert`: a folder to a file and back, by the built binary.

use std::fs;
use std::path::{Path, PathBuf};

use edgeformer_conformance::shared;
use edgeformer_models::safetensors::Safetensors;
use serde_json::Value;
use tempfile::TempDir;

use super::support::{refusal, run, stdout};
use super::text;

fn embedded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/tiny/tiny-shakespeare.gguf")
}

fn convert(from: &Path, to: &Path, more: &[&str]) -> Value {
    let all = [&["convert", text(from), text(to), "--json", "--quiet"], more].concat();
    serde_json::from_str(&stdout(&all)).unwrap()
}

fn written(model: &Path) -> String {
    let model = text(model);
    stdout(&["generate", "To be", "-n", "30", "--temperature", "0", "--quiet", "-m", model])
}

#[test]
fn a_file_becomes_a_folder_that_writes_on_and_a_file_again() {
    let temporary = TempDir::new().unwrap();
    let (folder, file) = (temporary.path().join("hf"), temporary.path().join("again.gguf"));
    let done = convert(&embedded(), &folder, &["--outtype", "f32"]);
    assert_eq!(done["output"], text(&folder));
    let tensors = Safetensors::open(&folder).unwrap().names().count();
    assert_eq!(done["tensors"], tensors);
    convert(&folder, &file, &[]);
    assert_eq!(written(&folder), written(&file));
    for name in ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]
    {
        assert!(folder.join(name).is_file(), "{name}");
    }
    let half = temporary.path().join("half.gguf");
    let whole = convert(&folder, &file, &["--force"]);
    let half = convert(&folder, &half, &["--outtype", "q8_0"]);
    assert!(half["bytes"].as_u64() < whole["bytes"].as_u64());
    let told = stdout(&["convert", text(&folder), text(&file), "--force", "--quiet"]);
    assert!(told.contains(&format!("again.gguf: {tensors} tensors, ")), "{told}");
}

#[test]
fn a_real_folder_tells_the_same_story_as_a_file() {
    let Some(folder) = shared("models/stories260k/hf") else { return };
    let temporary = TempDir::new().unwrap();
    let file = temporary.path().join("stories.gguf");
    convert(&folder, &file, &[]);
    assert_eq!(written(&file), written(&folder));
}

#[test]
fn images_are_classified_from_a_quantized_file() {
    let Some(folder) = shared("models/vit-tiny-imagenet") else { return };
    let temporary = TempDir::new().unwrap();
    let file = temporary.path().join("vit.gguf");
    convert(&folder, &file, &["--outtype", "q8_0"]);
    let mut images: Vec<PathBuf> =
        fs::read_dir(folder.join("images")).unwrap().map(|image| image.unwrap().path()).collect();
    images.sort();
    let best = |model: &Path| {
        let told = stdout(&["classify", text(&images[0]), "--json", "--quiet", "-m", text(model)]);
        let told: Value = serde_json::from_str(&told).unwrap();
        let classes = told["images"][0]["classes"].as_array().unwrap();
        // A cock and a hen are about as likely.
        let mut names = [0, 1].map(|class| classes[class]["name"].as_str().unwrap().to_owned());
        names.sort();
        names
    };
    assert_eq!(best(&folder), ["cock", "hen"]);
    assert_eq!(best(&file), best(&folder));
}

#[test]
fn what_is_there_stays_without_force() {
    let temporary = TempDir::new().unwrap();
    let file = temporary.path().join("there.gguf");
    fs::write(&file, "precious").unwrap();
    let embedded = embedded();
    let told = refusal(&["convert", text(&embedded), text(&file)], 1);
    assert!(told.contains("there.gguf: is there already: --force replaces it"), "{told}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");

    let folder = temporary.path().join("photos");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("cat.jpg"), "meow").unwrap();
    let told = refusal(&["convert", text(&embedded), text(&folder), "--force", "--quiet"], 1);
    assert!(told.contains("this is no folder of a model"), "{told}");
    assert_eq!(fs::read_to_string(folder.join("cat.jpg")).unwrap(), "meow");
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 2);
}

#[test]
fn wrong_requests_are_told() {
    let embedded = embedded();
    let same = refusal(&["convert", text(&embedded), text(&embedded), "--force"], 2);
    assert!(same.contains("IN and OUT are the same"), "{same}");
    let wrong = run(&["convert", "a", "b.gguf", "--outtype", "q9"]);
    assert_eq!(wrong.status.code(), Some(2));
    let wrong = String::from_utf8(wrong.stderr).unwrap();
    assert!(wrong.contains("known are f32, f16, bf16, q8_0, auto"), "{wrong}");
    let temporary = TempDir::new().unwrap();
    let out = temporary.path().join("hf");
    let told =
        refusal(&["convert", text(&embedded), text(&out), "--outtype", "q8_0", "--quiet"], 1);
    assert!(told.contains("q8_0 is no float format"), "{told}");
    assert!(!out.exists());
}
