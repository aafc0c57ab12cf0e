use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use edgeformer_core::graph::{GraphInput, WeightId};
use edgeformer_core::{Format, Graph, Tensor};
use edgeformer_models::ModelFile;
use edgeformer_models::atomic::write_atomically;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::base::{self, Base, Subject};
use super::card::card;
use super::chart;
use super::data::Data;
use super::fitting::{Fitting, Load};
use super::labelled::{Judge, ReadImage};
use super::metrics::{Line, Metrics};
use super::output;
use super::request::Request;
use crate::run::{Event, Order, RunOptions, Stopped, Store, fit};
use crate::trainer::{StepOptions, Trainer};
use crate::{Error, Objective, Parameter, Result, Schedule};

/// What a run has done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finetuned {
    /// The adapter or model that was written.
    pub result: PathBuf,
    /// Records that were learned.
    pub examples: usize,
    /// Records that were validated with.
    pub validation: usize,
    /// Lines that were no records.
    pub bad_lines: usize,
    /// Records that were cut.
    pub truncated: usize,
    /// Records of which nothing was to be learned.
    pub empty: usize,
    /// How batches were split, and the memory that was planned.
    pub memory: Fitting,
    /// Weights of the model.
    pub weights: usize,
    /// Those that learned.
    pub trainable: usize,
    /// Steps that were taken.
    pub steps: u64,
    /// Steps that were to be taken.
    pub planned_steps: u64,
    /// How often all records were learned.
    pub epochs: f64,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// The loss of the first step of all.
    pub first_loss: Option<f64>,
    /// That of the last.
    pub last_loss: Option<f64>,
    /// The validation loss before anything was learned.
    pub first_validation: Option<f64>,
    /// The step and loss of the best evaluation: its weights are the result's.
    pub best: Option<(u64, f64)>,
    /// The share of classes that it told, where records have classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_accuracy: Option<f64>,
    /// Why the run ended.
    pub stopped: &'static str,
    /// Seconds of this process.
    pub seconds: f64,
    /// Tokens that this process learned from.
    pub tokens: usize,
    /// Those of a second of steps.
    pub tokens_per_second: f64,
}

/// Fine-tunes a model; what `watch` sees is for people. If it ends the run a checkpoint is written,
/// and the same request goes on from there.
///
/// # Errors
/// If the request cannot be, files are damaged, or a step fails: checkpoints stay.
pub fn finetune(
    request: &Request,
    read_image: &ReadImage<'_>,
    watch: &mut dyn FnMut(Event<'_>, u64) -> ControlFlow<()>,
) -> Result<Finetuned> {
    request.check()?;
    let start = Instant::now();
    let store = Store::open(&request.output)?;
    let (subject, intent) = Subject::open(request)?;
    let context = context(request, &subject.file);
    let data = Data::read(request, &subject.file, context, read_image)?;
    let examples = &data.learned.examples;
    let memory = Load { request, model: &subject.model, intent: &intent, examples }.fit()?;
    let Base { weights, parameters, dropouts } = Base::load(request, &subject, &intent)?;
    let size = Size::of(&subject.model.graph, &parameters);
    let order = Order::new(request.seed, data.learned.examples.len(), request.batch);
    let steps = request.steps.unwrap_or_else(|| order.steps(request.epochs));
    let learning_rate = request.rate(size.all);
    let mut step_options = step_options(request, &subject.file, steps, learning_rate);
    step_options.checkpointing = memory.gradient_checkpointing;
    let graph = subject.model.graph.clone();
    let mut trainer =
        Trainer::new(graph, weights, parameters, step_options).with_dropouts(dropouts);
    if let Some(path) = &request.teacher {
        trainer = trainer.with_teacher(base::teacher(path)?)?;
    }
    let mut options = run_options(request, steps, identity(request, &subject, &data.sha256)?);
    options.part_tokens = memory.micro_batch_tokens;
    let first_validation = data.first_loss(&trainer, memory.micro_batch_tokens)?;
    let resumed = store.checkpoints()?.pop().map_or(0, |saved| saved.step);
    let mut record = Recorder::new(Metrics::open(&request.output, resumed)?);
    let mut told = |event: Event<'_>| match record.take(event) {
        ControlFlow::Break(()) => ControlFlow::Break(()),
        ControlFlow::Continue(()) => watch(event, steps),
    };
    let learned = &data.learned.examples;
    let outcome = fit(&mut trainer, learned, &data.validation, &options, Some(&store), &mut told)?;
    record.failed.map_or(Ok(()), Err)?;
    if outcome.stopped == Stopped::Asked {
        return Err(Error::Interrupted);
    }
    if let Some(format) = request.quantize_aware {
        round(&subject.model.graph, trainer.parameters(), &intent.rounded, format)?;
    }
    let result = output::write(request, &subject, trainer.parameters())?;
    let lines = record.metrics.lines();
    let losses = || lines.iter().filter_map(|line| line.loss);
    let done = Finetuned {
        result,
        examples: learned.len(),
        validation: data.validation.len(),
        bad_lines: data.bad_lines,
        truncated: data.learned.truncated,
        empty: data.learned.empty,
        memory,
        weights: size.all,
        trainable: size.learning,
        steps: outcome.steps,
        planned_steps: steps,
        epochs: order.epochs(outcome.steps),
        learning_rate,
        first_loss: losses().next(),
        last_loss: losses().next_back(),
        first_validation,
        best: outcome.best,
        best_accuracy: outcome.best_accuracy,
        stopped: if outcome.stopped == Stopped::Early { "early" } else { "all steps taken" },
        seconds: start.elapsed().as_secs_f64(),
        tokens: record.tokens,
        tokens_per_second: record.tokens as f64 / record.seconds.max(1e-9),
    };
    chart::draw(&request.output.join("loss.png"), lines)?;
    let text = card(request, &done, &data.sha256);
    write_atomically(&request.output.join("TRAINING.md"), |out| out.write_all(text.as_bytes()))?;
    Ok(done)
}

/// The memory that a request will take, and how its batches are split: nothing is loaded or written.
///
/// # Errors
/// If the request cannot be, files are damaged, or it does not fit its memory budget, with what would.
pub fn plan(request: &Request, read_image: &ReadImage<'_>) -> Result<Fitting> {
    request.check()?;
    let file = base::opened(request)?;
    let data = Data::read(request, &file, context(request, &file), read_image)?;
    let (model, intent) = base::intended(request, &file)?;
    Load { request, model: &model, intent: &intent, examples: &data.learned.examples }.fit()
}

/// Makes weights what products saw of them: whoever quantizes them to the format finds them there.
fn round(
    graph: &Graph,
    parameters: &[Parameter],
    rounded: &[WeightId],
    format: Format,
) -> Result<()> {
    for parameter in parameters {
        if rounded.iter().all(|&id| graph.weight(id).name != parameter.name) {
            continue;
        }
        let dims = parameter.variable.dims();
        let stored = Tensor::quantize(format, dims, &parameter.values()?)?;
        parameter.set_values(&stored.to_f32())?;
    }
    Ok(())
}

/// Numbers of a model.
struct Size {
    all: usize,
    learning: usize,
}

impl Size {
    fn of(graph: &Graph, parameters: &[Parameter]) -> Self {
        let all = graph.weights.iter().map(|info| info.shape.iter().product::<usize>()).sum();
        Self { all, learning: parameters.iter().map(|one| one.variable.elem_count()).sum() }
    }
}

/// What is kept of a run while it goes on.
struct Recorder {
    metrics: Metrics,
    tokens: usize,
    seconds: f64,
    failed: Option<Error>,
}

impl Recorder {
    fn new(metrics: Metrics) -> Self {
        Self { metrics, tokens: 0, seconds: 0.0, failed: None }
    }

    /// Ends the run where it cannot be recorded.
    fn take(&mut self, event: Event<'_>) -> ControlFlow<()> {
        if let Event::Step { report, seconds, .. } = event {
            self.tokens += report.tokens;
            self.seconds += seconds;
        }
        match line(event).map(|line| self.metrics.add(line)) {
            Some(Err(error)) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
            Some(Ok(())) | None => ControlFlow::Continue(()),
        }
    }
}

/// What an event adds to the metrics.
fn line(event: Event<'_>) -> Option<Line> {
    match event {
        Event::Step { report, epochs, seconds } => Some(Line {
            loss: Some(report.loss),
            gradient_norm: Some(report.gradient_norm),
            learning_rate: Some(report.learning_rate),
            epoch: Some(epochs),
            tokens_per_second: Some(report.tokens as f64 / seconds.max(1e-9)),
            ..Line::of(report.step)
        }),
        Event::Evaluated { step, loss, accuracy, .. } => Some(Line {
            validation_loss: Some(loss),
            validation_accuracy: accuracy,
            ..Line::of(step)
        }),
        Event::Saved { .. } | Event::Resumed { .. } => None,
    }
}

/// Tokens that a record may have.
fn context(request: &Request, file: &ModelFile) -> usize {
    let trained = match file.model.graph.input {
        GraphInput::Tokens { context, .. } => context,
        GraphInput::Pixels { .. } | GraphInput::Signal { .. } => 1,
    };
    request.context.unwrap_or(trained).min(trained)
}

fn step_options(request: &Request, file: &ModelFile, steps: u64, peak: f64) -> StepOptions {
    let warmup = (request.warmup * steps as f64).ceil() as u64;
    let (temperature, share) = (request.temperature, request.teacher_share);
    let objective = match &request.teacher {
        Some(_) => Objective::Distillation { temperature, share },
        None if Judge::of(file).is_some_and(|judge| judge.values()) => Objective::SquaredError,
        None => Objective::CrossEntropy,
    };
    StepOptions {
        objective,
        schedule: Schedule { peak, warmup, steps, decay: request.decay },
        optimizer: request.optimizer,
        clip: request.clip,
        context: context(request, file),
        checkpointing: request.checkpointing,
    }
}

fn run_options(request: &Request, steps: u64, identity: String) -> RunOptions {
    RunOptions {
        steps,
        batch: request.batch,
        part_tokens: request.part_tokens,
        evaluate_every: request.evaluate_every.or(Some((steps / 10).max(1))),
        save_every: request.save_every,
        patience: request.patience,
        average: request.average,
        seed: request.seed,
        identity,
    }
}

/// What a checkpoint belongs to: settings, data, model. Where the result goes changes nothing.
fn identity(request: &Request, subject: &Subject, data: &str) -> Result<String> {
    let request = Request { output: PathBuf::new(), ..request.clone() };
    let settings = serde_json::to_string(&request)
        .map_err(|error| Error::Request(format!("settings: {error}")))?;
    let model = subject.model.fingerprint()?;
    let hash = Sha256::digest(format!("{settings} {data} {model:016x}").as_bytes());
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}
