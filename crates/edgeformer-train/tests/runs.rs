//! Whole runs of a small model that learns to count: stopped and resumed, ended early, refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::ops::ControlFlow;

use candle_core::Device;
use edgeformer_backend_candle::DeviceWeights;
use edgeformer_conformance::random_model;
use edgeformer_core::Format;
use edgeformer_core::graph::{Activation, GraphBuilder, GraphInput, OutputKind};
use edgeformer_train::{
    AdamWOptions, Decay, Error, Event, Example, Learning, Objective, Outcome, RunOptions, Sample,
    Schedule, Shares, StepOptions, Stopped, Store, Target, Trainer, fit, make_parameters,
};
use proptest::prelude::*;

const VOCABULARY: usize = 12;
const STEPS: u64 = 24;

fn trainer(rate: f64, eight_bit: bool) -> Trainer {
    let input = GraphInput::Tokens { vocabulary: VOCABULARY, context: 16 };
    let mut b = GraphBuilder::new("g", input);
    let x = b.embed("token_embd.weight", 16, 1.0).unwrap();
    let h = b.linear(x, "blk.0.up", 32, true).unwrap();
    let h = b.activation(h, Activation::Silu).unwrap();
    let h = b.linear(h, "blk.0.down", 16, true).unwrap();
    let x = b.add(x, h).unwrap();
    let x = b.linear(x, "output", VOCABULARY, false).unwrap();
    let graph = b.finish(OutputKind::Logits, x).unwrap();
    let model = random_model(graph, 3, |_| Format::F32).unwrap();
    let mut weights = DeviceWeights::load(&model, &Device::Cpu).unwrap();
    let parameters = make_parameters(&model.graph, &mut weights, &Learning::All).unwrap();
    let schedule = Schedule { peak: rate, warmup: 2, steps: STEPS, decay: Decay::Cosine };
    let optimizer = AdamWOptions { weight_decay: 0.01, eight_bit, ..AdamWOptions::default() };
    let options = StepOptions {
        objective: Objective::CrossEntropy,
        schedule,
        optimizer,
        clip: Some(1.0),
        context: 16,
        checkpointing: false,
    };
    Trainer::new(model.graph, weights, parameters, options)
}

/// Texts that count up from `first`.
fn counting(firsts: std::ops::Range<u32>) -> Vec<Example> {
    let token = |number: u32| number % VOCABULARY as u32;
    firsts
        .map(|first| Example {
            input: Sample::Tokens((first..first + 5).map(token).collect()),
            target: Target::Tokens((first + 1..first + 6).map(|next| Some(token(next))).collect()),
        })
        .collect()
}

fn options() -> RunOptions {
    RunOptions {
        steps: STEPS,
        batch: 3,
        part_tokens: 10,
        evaluate_every: Some(4),
        save_every: Some(5),
        patience: None,
        average: None,
        seed: 9,
        identity: "counting".into(),
    }
}

fn run(
    trainer: &mut Trainer,
    options: &RunOptions,
    store: Option<&Store>,
    stop_at: Option<u64>,
) -> Result<Outcome, Error> {
    let mut watch = |event: Event<'_>| match event {
        Event::Step { report, .. } if Some(report.step) == stop_at => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    fit(trainer, &counting(0..7), &counting(7..10), options, store, &mut watch)
}

/// Equal but for what the order of a sum changes.
fn is_close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6 * b.abs()
}

fn bits(trainer: &Trainer) -> Vec<u32> {
    let values = |parameter: &edgeformer_train::Parameter| {
        parameter.variable.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    trainer.parameters().iter().flat_map(values).map(f32::to_bits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// A run that was stopped anywhere goes on to the same bits.
    #[test]
    fn a_resumed_run_ends_as_one_that_never_stopped(
        stops in prop::collection::btree_set(1..STEPS, 1..4),
        eight_bit in any::<bool>(),
        average in prop::option::of(Just(0.9)),
    ) {
        let options = RunOptions { average, ..options() };
        let mut unbroken = trainer(0.02, eight_bit);
        let expected = run(&mut unbroken, &options, None, None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for stop in stops {
            let store = Store::open(folder.path()).unwrap();
            let mut broken = trainer(0.02, eight_bit);
            let outcome = run(&mut broken, &options, Some(&store), Some(stop)).unwrap();
            prop_assert_eq!((outcome.stopped, outcome.steps), (Stopped::Asked, stop));
        }
        let store = Store::open(folder.path()).unwrap();
        let mut resumed = trainer(0.02, eight_bit);
        let found = run(&mut resumed, &options, Some(&store), None).unwrap();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(bits(&resumed), bits(&unbroken));
    }
}

#[test]
fn a_model_learns_and_the_best_weights_are_left() {
    let mut model = trainer(0.02, false);
    let validation = counting(7..10);
    let all: Vec<&Example> = validation.iter().collect();
    let loss = |model: &Trainer| model.evaluate(&Shares::of(all.clone(), 10)).unwrap().mean_loss();
    let before = loss(&model);
    let outcome = run(&mut model, &options(), None, None).unwrap();
    let (_, best) = outcome.best.unwrap();
    assert!(best < 0.7 * before, "{best} is not far below {before}");
    assert!(is_close(loss(&model), best));
}

#[test]
fn a_run_that_gets_worse_ends_early_with_the_best_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let options = RunOptions { patience: Some(1), evaluate_every: Some(1), ..options() };
    // A rate that no model learns with.
    let mut model = trainer(30.0, false);
    let outcome = run(&mut model, &options, Some(&store), None).unwrap();
    assert_eq!(outcome.stopped, Stopped::Early);
    let (step, best) = outcome.best.unwrap();
    assert!(step < outcome.steps && outcome.steps < STEPS);
    let validation = counting(7..10);
    let found = model.evaluate(&Shares::of(validation.iter().collect(), 10)).unwrap();
    assert!(is_close(found.mean_loss(), best));
}

#[test]
fn shares_of_a_batch_have_its_gradients() {
    let examples = counting(0..6);
    let all: Vec<&Example> = examples.iter().collect();
    let step = |shares: Vec<Vec<&Example>>, at_a_time| {
        let mut model = trainer(0.02, false);
        let batch = Shares { shares, at_a_time };
        // The first step warms up: its rate is zero.
        model.step(&batch).unwrap();
        let report = model.step(&batch).unwrap();
        (report.loss, report.gradient_norm, bits(&model))
    };
    let whole = step(vec![all.clone()], 1);
    let shares = || vec![all[..1].to_vec(), all[1..3].to_vec(), all[3..].to_vec()];
    let one_after_the_other = step(shares(), 1);
    let apart = (whole.0 - one_after_the_other.0, whole.1 - one_after_the_other.1);
    assert!(apart.0.abs() < 1e-6 && apart.1.abs() < 1e-6);
    // However many go at a time, on however many threads.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(5).build().unwrap();
    for at_a_time in [2, 3] {
        assert_eq!(pool.install(|| step(shares(), at_a_time)), one_after_the_other);
    }
}

#[test]
fn what_is_no_number_any_more_changes_nothing() {
    let mut model = trainer(1e30, false);
    let examples = counting(0..6);
    let batch = Shares::of(examples.iter().collect(), 100);
    model.step(&batch).unwrap();
    model.step(&batch).unwrap();
    let before = bits(&model);
    let error = model.step(&batch).unwrap_err();
    assert!(matches!(error, Error::Diverged { step: 3, .. }), "{error}");
    assert_eq!(bits(&model), before);
}

#[test]
fn a_folder_is_one_processs_and_one_runs() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let error = Store::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains(".lock: is locked: another process"), "{error}");
    run(&mut trainer(0.02, false), &options(), Some(&store), None).unwrap();
    let other = RunOptions { identity: "other".into(), ..options() };
    let error = run(&mut trainer(0.02, false), &other, Some(&store), None).unwrap_err();
    assert!(error.to_string().contains("of a run with other settings"), "{error}");
    drop(store);
    Store::open(folder.path()).unwrap();
}

#[test]
fn a_damaged_checkpoint_is_told_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    run(&mut trainer(0.02, false), &options(), Some(&store), Some(10)).unwrap();
    let latest = store.checkpoints().unwrap().pop().unwrap();
    let file = latest.folder.join("state.safetensors");
    let whole = fs::read(&file).unwrap();
    for length in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        let error = run(&mut trainer(0.02, false), &options(), Some(&store), None).unwrap_err();
        assert!(error.to_string().contains("remove this checkpoint"), "{error}");
    }
    fs::remove_dir_all(&latest.folder).unwrap();
    let outcome = run(&mut trainer(0.02, false), &options(), Some(&store), None).unwrap();
    assert_eq!(outcome.steps, STEPS);
}
