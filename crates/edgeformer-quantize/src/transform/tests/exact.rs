//! Changed models compute what they did.

use bytes::Bytes;
use edgeformer_conformance::{reference, shared};
use edgeformer_core::Input;
use edgeformer_models::checkpoint::Checkpoint;
use edgeformer_models::gguf::{Gguf, GgufWriter};
use edgeformer_models::hyper::Hyper;
use edgeformer_models::{OpenOptions, open_gguf_bytes};

use super::small::{self, distance, imatrix, round4};
use crate::transform::awq::{AwqOptions, awq};
use crate::transform::fold::foldables;
use crate::transform::random::Random;
use crate::transform::rotate::{RotateOptions, rotate};
use crate::transform::scale::fold_scales;
use crate::transform::smooth::smooth;

const LIMIT: f64 = 1e-4;

type Change = fn(&mut Checkpoint);

const CHANGES: [(&str, Change); 5] = [
    ("scale", scaled),
    ("awq", awqed),
    ("smooth", smoothed),
    ("rotate", rotated),
    ("rotate and awq", rotated_and_awqed),
];

/// Moves a random scale through every channel of every pair.
fn scaled(checkpoint: &mut Checkpoint) {
    let mut random = Random::new(2);
    for pair in foldables(checkpoint).unwrap() {
        let scales: Vec<f32> =
            (0..pair.channels).map(|_| (random.gaussian() as f32).exp()).collect();
        fold_scales(checkpoint, &pair, &scales).unwrap();
    }
}

fn awqed(checkpoint: &mut Checkpoint) {
    let mut imatrix = imatrix(checkpoint);
    let round = |_: &str, rows: &[f32], columns, _: &[f32]| Ok(round4(rows, columns, 32));
    let found = awq(checkpoint, &mut imatrix, &AwqOptions::default(), &round).unwrap();
    assert!(found.iter().any(|scaled| scaled.alpha > 0.0), "nothing was changed");
    assert!(found.iter().all(|scaled| scaled.after <= scaled.before), "{found:?}");
}

fn smoothed(checkpoint: &mut Checkpoint) {
    let mut imatrix = imatrix(checkpoint);
    let found = smooth(checkpoint, &mut imatrix, 0.5).unwrap();
    assert!(found.iter().any(|smoothed| smoothed.after < smoothed.before), "{found:?}");
}

/// With whatever the family allows.
fn rotated(checkpoint: &mut Checkpoint) {
    let residual =
        !matches!(checkpoint.architecture(), Some("gemma2" | "gemma3" | "gpt2" | "bert" | "vit"));
    rotate(checkpoint, &RotateOptions { residual, ..RotateOptions::default() }).unwrap();
}

fn rotated_and_awqed(checkpoint: &mut Checkpoint) {
    rotated(checkpoint);
    awqed(checkpoint);
}

#[test]
fn every_family_computes_what_it_did() {
    for small in small::all() {
        let before = small.outputs(&small.checkpoint());
        for (name, change) in CHANGES {
            let mut checkpoint = small.checkpoint();
            change(&mut checkpoint);
            let error = distance(&before, &small.outputs(&checkpoint));
            assert!(error < LIMIT, "{} {name}: {error:.1e}", small.graph().name);
        }
    }
}

#[test]
fn rotation_changes_every_matrix_of_the_stream_and_says_so() {
    let small = small::llama();
    let before = small.checkpoint();
    let mut after = small.checkpoint();
    let done = rotate(&mut after, &RotateOptions::default()).unwrap();
    assert_eq!(done.added_head, 0);
    assert_eq!(after.get("edgeformer.rotation").unwrap().as_str(), Some("hadamard"));
    for (before, after) in before.tensors.iter().zip(&after.tensors) {
        let (old, new) = (before.load().unwrap().to_f32(), after.load().unwrap().to_f32());
        assert_ne!(old, new, "{}", before.name());
        if before.name().ends_with("norm.weight") {
            assert!(new.iter().all(|&weight| weight == 1.0));
        }
    }
}

#[test]
fn a_tied_head_is_written_on_its_own() {
    let tied = small::all().remove(1);
    let mut checkpoint = tied.checkpoint();
    let done = rotate(&mut checkpoint, &RotateOptions::default()).unwrap();
    assert_eq!(done.added_head, 48 * 24);
    assert!(checkpoint.tensor("output.weight").is_some());
}

/// Logits of a file that is written and opened as any other.
fn logits(checkpoint: &Checkpoint) -> Vec<f64> {
    let mut writer = GgufWriter::new();
    for (key, value) in &checkpoint.metadata {
        writer.metadata(key.as_str(), value.clone());
    }
    for tensor in &checkpoint.tensors {
        writer.tensor(tensor.name(), &tensor.load().unwrap());
    }
    let mut bytes = Vec::new();
    writer.write_to(&mut bytes).unwrap();
    let options = OpenOptions { tokenizer: false };
    let opened = open_gguf_bytes("changed.gguf", Bytes::from(bytes), &options).unwrap();
    assert!(matches!(opened.hyper, Hyper::Decoder(_)));
    let tokens = Input::Tokens(&[1, 7, 40, 22, 9, 31, 3]);
    reference::evaluate(&opened.model, tokens, 64).unwrap().data().to_vec()
}

fn same_logits(open: impl Fn() -> Checkpoint) {
    let before = logits(&open());
    for (name, change) in CHANGES {
        let mut checkpoint = open();
        change(&mut checkpoint);
        let error = distance(&before, &logits(&checkpoint));
        assert!(error < LIMIT, "{}: {name}: {error:.1e}", checkpoint.path().display());
    }
}

#[test]
fn a_llama_is_opened_and_computes_what_it_did() {
    same_logits(|| small::llama().checkpoint());
}

#[test]
fn files_compute_what_they_did() {
    for path in ["models/stories260k/stories260k-f32.gguf", "fixtures/gguf-blocks/f16.gguf"] {
        let Some(path) = shared(path) else { continue };
        same_logits(|| Checkpoint::from(&Gguf::open(&path).unwrap()));
    }
}
