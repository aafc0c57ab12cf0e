use std::ops::ControlFlow;
use std::time::Instant;

use super::average::{Average, set_values, values};
use super::batches::Order;
use super::state::{self, Progress};
use super::store::Store;
use crate::evaluation::Evaluation;
use crate::shares::Shares;
use crate::trainer::{Example, StepReport, Trainer};
use crate::{Error, Result};

/// How a run goes.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOptions {
    /// Steps in all.
    pub steps: u64,
    /// Examples of a step.
    pub batch: usize,
    /// Tokens that go through the model at a time, at most.
    pub part_tokens: usize,
    /// Steps between evaluations; `None` evaluates in the end alone.
    pub evaluate_every: Option<u64>,
    /// Steps between checkpoints; `None` writes one in the end alone.
    pub save_every: Option<u64>,
    /// Evaluations without improvement after which the run ends.
    pub patience: Option<u64>,
    /// Decay of an exponential mean of the weights, which is evaluated and kept instead of them.
    pub average: Option<f64>,
    /// What the order of examples follows from.
    pub seed: u64,
    /// What the run is of: settings, data, model. A checkpoint of another is refused.
    pub identity: String,
}

/// What happens in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event<'a> {
    /// A step was taken.
    Step {
        /// What it was like.
        report: &'a StepReport,
        /// How often all examples have been seen.
        epochs: f64,
        /// Seconds it took.
        seconds: f64,
    },
    /// The validation examples were looked at.
    Evaluated {
        /// Steps that were taken.
        step: u64,
        /// The mean loss of a target.
        loss: f64,
        /// The share of classes that the model tells, where examples have classes.
        accuracy: Option<f64>,
        /// Whether no loss was lower before.
        best: bool,
    },
    /// A checkpoint was written.
    Saved {
        /// Steps that were taken.
        step: u64,
    },
    /// The run goes on where it was left.
    Resumed {
        /// Steps that were taken.
        step: u64,
    },
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// All steps are taken.
    Done,
    /// The validation loss did not fall any more.
    Early,
    /// The watcher said so. A checkpoint was written.
    Asked,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Why.
    pub stopped: Stopped,
    /// Steps that were taken.
    pub steps: u64,
    /// The evaluation with the lowest loss: its step and loss. The weights are those of this step.
    pub best: Option<(u64, f64)>,
    /// The share of classes that it told, where examples have classes.
    pub best_accuracy: Option<f64>,
}

/// Lets a model learn. In the end its weights are those of the best evaluation, or the last where
/// nothing is evaluated.
///
/// With a store, checkpoints are written and the run goes on from the latest; `watch` sees
/// everything and may end it.
///
/// # Errors
/// If there is nothing to learn, a checkpoint is of another run or cannot be written, or a step
/// fails: the checkpoints before stay.
pub fn fit(
    trainer: &mut Trainer,
    learned: &[Example],
    validation: &[Example],
    options: &RunOptions,
    store: Option<&Store>,
    watch: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
) -> Result<Outcome> {
    if learned.is_empty() {
        return Err(Error::Request("there is no example to learn from".into()));
    }
    let order = Order::new(options.seed, learned.len(), options.batch);
    let average = options.average.map(|decay| Average::of(trainer.parameters(), decay));
    let average = average.transpose()?;
    let progress = Progress { identity: options.identity.clone(), ..Progress::default() };
    let (best_weights, saved) = (None, None);
    let mut run =
        Run { trainer, validation, options, store, watch, average, progress, best_weights, saved };
    run.resume()?;
    let stopped = run.steps(learned, &order)?;
    if stopped != Stopped::Asked {
        run.leave_the_best()?;
    }
    let Progress { step, best, best_accuracy, .. } = run.progress;
    Ok(Outcome { stopped, steps: step, best, best_accuracy })
}

struct Run<'a> {
    trainer: &'a mut Trainer,
    validation: &'a [Example],
    options: &'a RunOptions,
    store: Option<&'a Store>,
    watch: &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    average: Option<Average>,
    progress: Progress,
    /// The weights of the best evaluation, where no store keeps them.
    best_weights: Option<Vec<Vec<f32>>>,
    /// The step of the latest checkpoint.
    saved: Option<u64>,
}

impl Run<'_> {
    fn resume(&mut self) -> Result<()> {
        let Some(store) = self.store else { return Ok(()) };
        let Some(latest) = store.checkpoints()?.pop() else { return Ok(()) };
        let found = state::progress(&latest.folder)?;
        if found.identity != self.progress.identity {
            let problem = "is of a run with other settings, data or model: name another folder, or remove this one";
            return Err(Error::file(latest.folder, problem));
        }
        self.progress = state::read(&latest.folder, self.trainer, self.average.as_mut())?;
        let step = self.progress.step;
        // Whether to go on is asked with the first step.
        let _ = (self.watch)(Event::Resumed { step });
        Ok(())
    }

    fn steps(&mut self, learned: &[Example], order: &Order) -> Result<Stopped> {
        loop {
            if self.is_stale() {
                return Ok(Stopped::Early);
            }
            if self.progress.step >= self.options.steps {
                return Ok(Stopped::Done);
            }
            let asked = self.step(learned, order)?;
            let last = self.progress.step >= self.options.steps;
            if last || is_due(self.options.evaluate_every, self.progress.step) {
                self.evaluate()?;
            }
            let ends = last || asked.is_break() || self.is_stale();
            if ends || is_due(self.options.save_every, self.progress.step) {
                self.save()?;
            }
            if asked.is_break() {
                return Ok(Stopped::Asked);
            }
        }
    }

    fn is_stale(&self) -> bool {
        self.options.patience.is_some_and(|patience| self.progress.stale >= patience.max(1))
    }

    fn step(&mut self, learned: &[Example], order: &Order) -> Result<ControlFlow<()>> {
        let start = Instant::now();
        let chosen = order.batch(self.progress.step);
        let batch: Vec<&Example> = chosen.iter().map(|&index| &learned[index]).collect();
        let report = self.trainer.step(&Shares::of(batch, self.options.part_tokens));
        let report = report.map_err(|error| naming(error, &chosen))?;
        self.progress.step = report.step;
        if let Some(average) = &mut self.average {
            average.take(self.trainer.parameters(), report.step)?;
        }
        let (epochs, seconds) = (order.epochs(report.step), start.elapsed().as_secs_f64());
        Ok((self.watch)(Event::Step { report: &report, epochs, seconds }))
    }

    fn evaluate(&mut self) -> Result<()> {
        if self.validation.is_empty() {
            return Ok(());
        }
        let found = self.with_kept_weights(|run| {
            evaluation(run.trainer, run.validation, run.options.part_tokens)
        })?;
        let (loss, accuracy) = (found.mean_loss(), found.accuracy());
        let step = self.progress.step;
        // Not a number is never the best.
        let best = self.progress.best.is_none_or(|(_, lowest)| loss < lowest) && !loss.is_nan();
        self.progress.stale = if best { 0 } else { self.progress.stale + 1 };
        if best {
            self.progress.best = Some((step, loss));
            self.progress.best_accuracy = accuracy;
            match self.store {
                Some(_) => self.save()?,
                None => self.best_weights = Some(self.kept_values()?),
            }
        }
        let _ = (self.watch)(Event::Evaluated { step, loss, accuracy, best });
        Ok(())
    }

    /// The weights that are kept in the end: the mean, or those that learn.
    fn kept_values(&self) -> Result<Vec<Vec<f32>>> {
        match &self.average {
            Some(average) => Ok(average.means.clone()),
            None => values(self.trainer.parameters()),
        }
    }

    /// Looks at the model with the weights that would be kept now.
    fn with_kept_weights<T>(&self, look: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let Some(average) = &self.average else { return look(self) };
        let learning = values(self.trainer.parameters())?;
        set_values(self.trainer.parameters(), &average.means)?;
        let seen = look(self);
        set_values(self.trainer.parameters(), &learning)?;
        seen
    }

    fn save(&mut self) -> Result<()> {
        let Some(store) = self.store.filter(|_| self.saved != Some(self.progress.step)) else {
            return Ok(());
        };
        store.save(&self.progress, self.trainer, self.average.as_ref())?;
        self.saved = Some(self.progress.step);
        let _ = (self.watch)(Event::Saved { step: self.progress.step });
        Ok(())
    }

    fn leave_the_best(&mut self) -> Result<()> {
        let averaged = self.average.is_some();
        let best = self.progress.best.map(|(step, _)| step);
        let kept = match (best.filter(|&step| step != self.progress.step), self.store) {
            (Some(step), Some(store)) => {
                let folder = store.at(step).ok_or_else(|| {
                    let problem = format!("has no checkpoint of step {step}, the best");
                    Error::file(store.folder(), problem)
                })?;
                state::read_weights(&folder, self.trainer, averaged)?
            }
            (Some(_), None) => match self.best_weights.take() {
                Some(weights) => weights,
                None => self.kept_values()?,
            },
            (None, _) => self.kept_values()?,
        };
        set_values(self.trainer.parameters(), &kept)
    }
}

/// What a model makes of examples, of which so many tokens go through it at a time.
///
/// # Errors
/// If an example does not fit the graph.
pub(crate) fn evaluation(
    trainer: &Trainer,
    examples: &[Example],
    part_tokens: usize,
) -> Result<Evaluation> {
    trainer.evaluate(&Shares::of(examples.iter().collect(), part_tokens))
}

fn is_due(every: Option<u64>, step: u64) -> bool {
    every.is_some_and(|every| step.is_multiple_of(every.max(1)))
}

/// Says which examples a step failed with.
fn naming(error: Error, chosen: &[usize]) -> Error {
    match error {
        Error::Diverged { step, what, value, .. } => {
            Error::Diverged { step, what, value, examples: chosen.to_vec() }
        }
        other => other,
    }
}
