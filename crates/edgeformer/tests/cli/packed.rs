//! Weights packed ahead, into a file beside the model.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use edgeformer_conformance::shared;
use edgeformer_models::gguf::Gguf;
use serde_json::Value;

use super::support::{edgeformer, refusal, run, stdout};
use super::text;

/// Whether this machine's kernels have panels at all; plain ones do not.
fn packs() -> bool {
    let packs = !stdout(&["devices"]).contains("instruction set: scalar");
    if !packs {
        eprintln!("skipped: the kernels of this machine have no panels");
    }
    packs
}

/// The embedded model as a file of its own; `None` where nothing of it is packed.
fn model(folder: &Path) -> Option<PathBuf> {
    if !packs() {
        return None;
    }
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/tiny");
    let model = folder.join("tiny.gguf");
    fs::copy(assets.join("tiny-shakespeare.gguf"), &model).unwrap();
    Some(model)
}

fn pack(model: &Path, more: &[&str]) -> Value {
    let all = [&["pack", text(model), "--json", "--quiet"], more].concat();
    serde_json::from_str(&stdout(&all)).unwrap()
}

fn generate(model: &Path, more: &[&str]) -> Output {
    let all = ["generate", "To be", "-n", "20", "--seed", "3", "--quiet", "-m", text(model)];
    let output = run(&[&all[..], more].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Whether the packed file that is found is used.
fn told(model: &Path, more: &[&str]) -> String {
    stdout(&[&["plan", "--explain", "-m", text(model)], more].concat())
}

fn is_mapped(model: &Path) -> bool {
    told(model, &[]).contains("weights mapped as packed in")
}

#[test]
fn a_packed_model_writes_the_same_text() {
    let folder = tempfile::tempdir().unwrap();
    let Some(model) = model(folder.path()) else { return };
    let expected = generate(&model, &[]).stdout;
    assert!(!is_mapped(&model));
    let made = pack(&model, &[]);
    let path = folder.path().join("tiny.gguf.packed");
    assert_eq!(made["packed_file"], text(&path));
    assert_eq!(made["bytes"], fs::metadata(&path).unwrap().len());
    assert!(made["tensors"].as_u64().unwrap() > 10 && made["seconds"].as_f64().unwrap() > 0.0);
    assert!(is_mapped(&model));
    for more in [&[][..], &["--threads", "1"], &["--no-packed-file"]] {
        let output = generate(&model, more);
        assert_eq!(output.stdout, expected, "{more:?}");
        assert_eq!(stderr(&output), "", "{more:?}");
    }
    assert_eq!(stderr(&generate(&model, &["--no-repack"])), "");
    // A second time: the file is replaced.
    assert_eq!(pack(&model, &[])["bytes"], made["bytes"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    let verified = pack(&model, &["--verify"]);
    assert_eq!((&verified["bytes"], &verified["tensors"]), (&made["bytes"], &made["tensors"]));
    let said = stdout(&["pack", text(&model)]);
    assert!(said.contains("tiny.gguf.packed") && said.contains("tensors packed"), "{said}");
}

#[test]
fn another_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let Some(model) = model(folder.path()) else { return };
    let elsewhere = folder.path().join("elsewhere");
    pack(&model, &["-o", text(&elsewhere)]);
    assert!(!is_mapped(&model));
    let named = ["--packed-file", text(&elsewhere)];
    assert!(told(&model, &named).contains("weights mapped as packed in"));
    pack(&model, &["-o", text(&elsewhere), "--verify"]);
    // The embedded model too, which is no file that a file could lie beside.
    let output = run(&["generate", "To be", "-n", "9", "--seed", "3", "--quiet"]);
    let with = ["generate", "To be", "-n", "9", "--seed", "3", "--quiet", named[0], named[1]];
    let with = run(&with);
    assert_eq!((stderr(&with), &with.stdout), ("", &output.stdout));
    assert!(refusal(&["pack"], 2).contains("--output"));
}

#[test]
fn a_changed_model_is_not_run_with_the_weights_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let Some(model) = model(folder.path()) else { return };
    let expected = generate(&model, &[]).stdout;
    pack(&model, &[]);
    // Copied with another time: read once more, and the same.
    let content = fs::read(&model).unwrap();
    fs::write(&model, &content).unwrap();
    assert!(is_mapped(&model));
    // Other weights: as many bytes.
    let mut changed = content.clone();
    let at = Gguf::open(&model).unwrap().info("blk.0.ffn_up.weight").unwrap().range().start;
    changed[at + 4..at + 30].iter_mut().for_each(|byte| *byte ^= 0x14);
    fs::write(&model, &changed).unwrap();
    let output = generate(&model, &[]);
    let warning = stderr(&output);
    assert!(
        warning.starts_with("warning: packed file ") && warning.contains("have changed"),
        "{warning}"
    );
    assert!(warning.contains("edgeformer pack") && warning.lines().count() == 1, "{warning}");
    let plain = generate(&model, &["--no-packed-file"]);
    assert_eq!((output.stdout, stderr(&plain)), (plain.stdout.clone(), ""));
    assert!(refusal(&["pack", text(&model), "--verify", "--quiet"], 1).contains("have changed"));
    pack(&model, &[]);
    assert!(is_mapped(&model));
    fs::write(&model, &content).unwrap();
    pack(&model, &[]);
    assert_eq!(generate(&model, &[]).stdout, expected);
}

#[test]
fn damaged_files_are_told_and_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let Some(model) = model(folder.path()) else { return };
    let expected = generate(&model, &[]).stdout;
    pack(&model, &[]);
    let path = folder.path().join("tiny.gguf.packed");
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[20] ^= 1;
    for (content, problem) in [
        (&b""[..], "does not begin with EFPACKED"),
        (b"nothing of ours at all", "does not begin with EFPACKED"),
        (&whole[..100], "should have"),
        (&whole[..whole.len() - 1], "should have"),
        (&damaged, "header is damaged"),
    ] {
        fs::write(&path, content).unwrap();
        let output = generate(&model, &[]);
        assert!(stderr(&output).contains(problem), "{}", stderr(&output));
        assert_eq!(output.stdout, expected, "{problem}");
    }
    // A panel that was changed: no start reads them all, --verify does.
    let mut damaged = whole.clone();
    damaged[(2 << 20) + 5] ^= 1;
    fs::write(&path, &damaged).unwrap();
    assert!(refusal(&["pack", text(&model), "--verify", "--quiet"], 1).contains("are damaged"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let output = generate(&model, &[]);
    assert!(stderr(&output).contains("this is a folder"), "{}", stderr(&output));
    assert_eq!(output.stdout, expected);
}

#[test]
fn what_cannot_be_packed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some(model) = model(folder.path()) else { return };
    let before = fs::read(&model).unwrap();
    let packing =
        |more: &[&str], code| refusal(&[&["pack", text(&model), "--quiet"], more].concat(), code);
    assert!(packing(&["-o", text(&model)], 1).contains("not overwritten"));
    assert_eq!(fs::read(&model).unwrap(), before);
    assert!(packing(&["-o", text(folder.path())], 1).contains("not overwritten"));
    assert!(packing(&["-o", "/nowhere/file"], 1).contains("/nowhere/file"));
    assert!(packing(&["--no-repack"], 2).contains("no_repack"));
    assert!(packing(&["--isa", "scalar"], 1).contains("nothing to pack"));
    assert!(packing(&["--verify"], 1).contains("no packed file"));
    assert!(packing(&["--model", "other.gguf"], 2).contains("two models"));
    assert!(refusal(&["pack", "/nowhere.gguf"], 1).contains("/nowhere.gguf"));
    let both = ["plan", "--packed-file", "a", "--no-packed-file"];
    assert!(refusal(&both, 2).contains("exclude each other"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn folders_of_safetensors_are_packed_too() {
    let Some(source) = shared("fixtures/hf/qwen2").filter(|_| packs()) else { return };
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let logits = |name: &str| {
        let output = folder.path().join(name);
        let all =
            ["logits", "--tokens", "1,2,3", "-q", "-m", text(folder.path()), "-o", text(&output)];
        let done = edgeformer(&all).output().unwrap();
        assert!(done.status.success() && done.stderr.is_empty(), "{}", stderr(&done));
        let bytes = fs::read(&output).unwrap();
        fs::remove_file(output).unwrap();
        bytes
    };
    let expected = logits("a");
    let made = pack(folder.path(), &[]);
    assert_eq!(made["packed_file"], text(&folder.path().join("model.packed")));
    assert!(is_mapped(folder.path()));
    assert_eq!(logits("b"), expected);
}
