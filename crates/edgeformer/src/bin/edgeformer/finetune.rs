//! `edgeformer finetune`.

use std::ops::ControlFlow;
use std::path::Path;

use edgeformer_models::preprocessor::Preprocessor;
use edgeformer_train::data::Strictness;
use edgeformer_train::finetune::{
    Finetuned, LoraOptions, Method, Request, Targets, finetune, plan,
};
use edgeformer_train::{AdamWOptions, Decay, Event};

use crate::args::{Finetune, MethodArg, RunArguments, ScheduleArg};
use crate::failure::{Failure, Outcome};
use crate::interrupt::{self, Answering};
use crate::output;
use crate::progress::Working;
use crate::report::mebibytes;
use crate::surroundings;

pub fn run(command: &Finetune) -> Outcome {
    let request = request(command);
    match command.run.plan {
        true => show_plan(&request, command.json),
        false => learn(&request, command.quiet, command.json),
    }
}

/// Tells the memory that learning will take.
pub fn show_plan(request: &Request, json: bool) -> Outcome {
    let fitting = plan(request, &read_image)?;
    if json {
        return output::show_json(&fitting);
    }
    let again = match fitting.gradient_checkpointing {
        true => ", activations computed again",
        false => "",
    };
    let (tokens, shares) = (fitting.micro_batch_tokens, fitting.side_by_side);
    let mut text = format!("{tokens} tokens at a time, in up to {shares} shares{again}\n");
    for (name, bytes) in [
        ("weights", fitting.plan.weights),
        ("moments", fitting.plan.moments),
        ("averages", fitting.plan.averages),
        ("gradients", fitting.plan.gradients),
        ("activations", fitting.plan.activations),
        ("backward", fitting.plan.backward),
        ("teacher", fitting.teacher),
        ("records", fitting.records),
        ("program", fitting.program),
        ("total", fitting.total),
    ] {
        text += &format!("{name:>12}  {:>12}  {bytes}\n", mebibytes(bytes));
    }
    Ok(output::show(&text)?)
}

/// Lets a model learn and tells what came of it.
pub fn learn(request: &Request, quiet: bool, json: bool) -> Outcome {
    surroundings::set();
    interrupt::install()
        .map_err(|error| Failure::Failed(format!("Ctrl-C cannot be taken over: {error}")))?;
    let answering = Answering::start();
    let working = Working::steps("opening the model", 0, quiet);
    let mut watch = |event: Event<'_>, steps: u64| {
        if let Event::Step { report, .. } = event {
            working.reach(report.step, steps);
        }
        if let Some(line) = told_of(event) {
            working.tell(line);
        }
        match answering.stopped() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let done = finetune(request, &read_image, &mut watch).map_err(|error| match error {
        edgeformer_train::Error::Interrupted => Failure::Engine(edgeformer::Error::Stopped),
        error => error.into(),
    })?;
    drop(working);
    if json {
        return output::show_json(&done);
    }
    Ok(output::show(&told(&done))?)
}

fn request(command: &Finetune) -> Request {
    let Finetune { learning, .. } = command;
    let lora = LoraOptions {
        rank: learning.lora_r,
        alpha: learning.lora_alpha,
        dropout: learning.lora_dropout,
        targets: match learning.target_modules.as_slice() {
            [all] if all == "all-linear" => Targets::AllLinear,
            names => Targets::Named(names.to_vec()),
        },
    };
    let method = match learning.method {
        MethodArg::Lora => Method::Lora(lora),
        MethodArg::Full => Method::Full,
        MethodArg::LastBlocks => Method::LastBlocks(learning.last_blocks),
        MethodArg::Head => Method::Head,
    };
    let (data, output) = (command.data.clone(), command.output.clone());
    let request = Request {
        validation: command.validation.clone(),
        validation_share: command.validation_split,
        strictness: strictness(command.strict),
        num_labels: learning.num_labels,
        base_format: learning.base_type,
        teacher: learning.teacher.clone(),
        temperature: learning.temperature,
        teacher_share: learning.teacher_share,
        truncate: command.truncate,
        ..Request::new(command.model.clone(), data, output, method)
    };
    with_run(request, &command.run)
}

/// What becomes of lines that are no records.
pub fn strictness(strict: bool) -> Strictness {
    if strict { Strictness::Strict } else { Strictness::Skip }
}

/// A request with the settings of a run.
pub fn with_run(request: Request, run: &RunArguments) -> Request {
    Request {
        epochs: run.epochs,
        steps: run.max_steps,
        batch: run.batch_size,
        part_tokens: run.micro_batch_tokens,
        checkpointing: run.gradient_checkpointing,
        memory_budget: run.memory_budget.map(|size| size.0),
        context: run.ctx_size,
        learning_rate: run.learning_rate,
        decay: match run.schedule {
            ScheduleArg::Cosine => Decay::Cosine,
            ScheduleArg::Linear => Decay::Linear,
            ScheduleArg::Constant => Decay::Constant,
        },
        warmup: run.warmup_ratio,
        optimizer: AdamWOptions {
            betas: [run.adam_beta1, run.adam_beta2],
            weight_decay: run.weight_decay,
            eight_bit: run.optim_8bit,
            ..AdamWOptions::default()
        },
        clip: Some(run.max_grad_norm).filter(|&norm| norm > 0.0),
        dropout: run.dropout,
        quantize_aware: run.quantize_aware,
        average: run.ema,
        evaluate_every: run.eval_steps,
        patience: run.patience,
        save_every: Some(run.save_steps),
        seed: run.seed,
        hardware: hardware(),
        ..request
    }
}

/// What is said of an event while the run goes on.
fn told_of(event: Event<'_>) -> Option<String> {
    match event {
        Event::Step { report, epochs, seconds } => Some(format!(
            "epoch {epochs:.2}, loss {:.4}, {:.0} tokens/s",
            report.loss,
            report.tokens as f64 / seconds.max(1e-9)
        )),
        Event::Evaluated { step, loss, accuracy, best } => {
            let accuracy = told_accuracy(accuracy);
            let best = if best { ", the best so far" } else { "" };
            Some(format!("step {step}: validation loss {loss:.4}{accuracy}{best}"))
        }
        Event::Saved { .. } => None,
        Event::Resumed { step } => Some(format!("going on from step {step}")),
    }
}

/// The share of classes that was told, behind a loss.
fn told_accuracy(accuracy: Option<f64>) -> String {
    accuracy.map_or_else(String::new, |share| format!(" ({:.1} % right)", 100.0 * share))
}

fn told(done: &Finetuned) -> String {
    let share = 100.0 * done.trainable as f64 / done.weights as f64;
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
    let best = match done.best {
        Some((step, loss)) => {
            format!("{loss:.4}{} at step {step}", told_accuracy(done.best_accuracy))
        }
        None => "-".into(),
    };
    format!(
        "{}\n  {} weights of {} learned ({share:.2} %), {} steps, {:.2} epochs, {:.1} s\n  \
         loss {} -> {}, validation {} -> {best}\n  {} records learned, {} to validate, {} bad lines, {} cut\n",
        done.result.display(),
        done.trainable,
        done.weights,
        done.steps,
        done.epochs,
        done.seconds,
        number(done.first_loss),
        number(done.last_loss),
        number(done.first_validation),
        done.examples,
        done.validation,
        done.bad_lines,
        done.truncated,
    )
}

/// An image as a model takes it.
#[cfg(feature = "vision")]
fn read_image(path: &Path, preprocessor: &Preprocessor) -> Result<Vec<f32>, String> {
    let image = edgeformer::load_image(path).map_err(|error| error.to_string())?;
    Ok(image.prepared(preprocessor))
}

#[cfg(not(feature = "vision"))]
fn read_image(_: &Path, _: &Preprocessor) -> Result<Vec<f32>, String> {
    Err("this build reads no images: build it with --features vision".into())
}

/// The processor, for the card.
fn hardware() -> String {
    let cores = edgeformer::available_cores();
    format!("{} {}, {cores} cores", std::env::consts::ARCH, std::env::consts::OS)
}
