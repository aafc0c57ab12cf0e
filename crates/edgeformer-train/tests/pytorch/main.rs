//! Training beside PyTorch's: the runs of `fixtures/train`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod run;

use std::path::Path;

use edgeformer_conformance::shared;
use edgeformer_core::Tensor;
use edgeformer_models::adapter::{AdapterFile, PeftOptions, write_peft};
use edgeformer_models::checkpoint::{Checkpoint, OutType};
use edgeformer_models::safetensors::Safetensors;
use edgeformer_train::{Learning, Target, with_learned};
use run::Run;

/// What may lie between two losses or norms, relative.
const STEP: f64 = 1e-3;
/// What may lie between final weights, relative in L2.
const WEIGHTS: f64 = 1e-2;

#[test]
fn all_weights_of_a_llama_learn_as_pytorchs() {
    let (Some(fixture), Some(base)) =
        (shared("fixtures/train/full"), shared("fixtures/hf/llama-gqa"))
    else {
        return;
    };
    for checkpointing in [false, true] {
        let run = Run::read(&fixture, checkpointing);
        let mut trainer = run.trainer(&base, &Learning::All);
        run.repeat(&mut trainer, &run::tokens(&fixture));
        compare(&base, &fixture, &trainer, |name| name.to_owned());
    }
}

#[test]
fn a_vision_transformer_learns_as_pytorchs() {
    let (Some(fixture), Some(base)) = (shared("fixtures/train/vit"), shared("fixtures/hf/vit"))
    else {
        return;
    };
    let batches = run::images(&fixture);
    assert!(batches.iter().flatten().all(|one| matches!(one.target, Target::Class(_))));
    for checkpointing in [false, true] {
        let run = Run::read(&fixture, checkpointing);
        let mut trainer = run.trainer(&base, &Learning::All);
        run.repeat(&mut trainer, &batches);
        compare(&base, &fixture, &trainer, newer_vit_name);
    }
}

#[test]
fn an_adapter_learns_as_pefts() {
    let (Some(fixture), Some(base)) =
        (shared("fixtures/train/lora"), shared("fixtures/hf/llama-gqa"))
    else {
        return;
    };
    // Of adapters only some weights of a segment have gradients.
    let run = Run::read(&fixture, true);
    let file = edgeformer_models::open(&base).unwrap();
    let initial = AdapterFile::open(&fixture.join("initial")).unwrap().for_model(&file).unwrap();
    let model = file.model.with_adapter(&initial).unwrap();
    let names =
        initial.pairs.keys().flat_map(|name| ["a", "b"].map(|m| format!("{name}.lora_{m}")));
    let mut trainer = run.trainer_of(&model, &Learning::Named(names.collect()));
    run.repeat(&mut trainer, &run::tokens(&fixture));

    let mut learned = initial;
    for (weight, pair) in &mut learned.pairs {
        let matrix = |which| run::learned(&trainer, &format!("{weight}.lora_{which}"));
        (pair.a, pair.b) = (matrix("a"), matrix("b"));
    }
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("adapter");
    write_peft(&learned, &file, &written, &PeftOptions::default()).unwrap();
    let ours = Safetensors::open(&written.join("adapter_model.safetensors")).unwrap();
    let theirs = Safetensors::open(&fixture.join("final/adapter_model.safetensors")).unwrap();
    assert!(ours.names().eq(theirs.names()));
    for name in theirs.names() {
        let apart = distance(&ours.tensor(name).unwrap(), &theirs.tensor(name).unwrap());
        assert!(apart < WEIGHTS, "{name} is {apart} away from PyTorch's");
    }
}

/// What transformers 5 calls a weight of a ViT.
fn newer_vit_name(name: &str) -> String {
    [
        ("vit.encoder.layer.", "vit.layers."),
        ("attention.attention.query", "attention.q_proj"),
        ("attention.attention.key", "attention.k_proj"),
        ("attention.attention.value", "attention.v_proj"),
        ("attention.output.dense", "attention.o_proj"),
        ("intermediate.dense", "mlp.fc1"),
        ("output.dense", "mlp.fc2"),
    ]
    .iter()
    .fold(name.to_owned(), |name, (old, new)| name.replace(old, new))
}

/// Final weights beside those of the fixture, as a folder would hold them.
fn compare(
    base: &Path,
    fixture: &Path,
    trainer: &edgeformer_train::Trainer,
    their_name: impl Fn(&str) -> String,
) {
    let checkpoint = Checkpoint::open(base).unwrap();
    let learned = with_learned(&checkpoint, trainer.parameters()).unwrap();
    let folder = learned.to_hf(OutType::Auto).unwrap();
    let expected = Safetensors::open(&fixture.join("final.safetensors")).unwrap();
    assert_eq!(folder.tensors().len(), expected.names().count());
    for tensor in folder.tensors() {
        let name = their_name(tensor.name());
        let theirs = expected.tensor(&name).unwrap_or_else(|| panic!("{name} is not expected"));
        let apart = distance(&tensor.load().unwrap(), &theirs);
        assert!(apart < WEIGHTS, "{name} is {apart} away from PyTorch's");
    }
}

fn distance(ours: &Tensor, theirs: &Tensor) -> f64 {
    let (ours, theirs) = (ours.to_f32(), theirs.to_f32());
    assert_eq!(ours.len(), theirs.len());
    let norm = |values: &mut dyn Iterator<Item = f32>| -> f64 {
        values.map(|value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt()
    };
    norm(&mut ours.iter().zip(&theirs).map(|(a, b)| a - b)) / norm(&mut theirs.iter().copied())
}
