//! One step of learning: forward, backward, update.

use std::ops::Range;

use candle_core::Tensor;
use candle_core::backprop::GradStore;
use edgeformer_backend_candle::{
    Checkpointed, DeviceWeights, Dropout, MatrixGradients, forward_rows,
};
use edgeformer_core::graph::WeightId;
use edgeformer_core::{Graph, Input};

use crate::evaluation::Evaluation;
use crate::gradients::Gradients;
use crate::objective::{Objective, Target, loss};
use crate::optimizer::{AdamWOptions, Moments, Schedule};
use crate::parameters::Parameter;
use crate::shares::{Shares, side_by_side};
use crate::{Error, Result};
use edgeformer_core::random::Random;

/// What goes in, and what is learned of it.
#[derive(Debug, Clone)]
pub struct Example {
    /// What goes in.
    pub input: Sample,
    /// What is learned.
    pub target: Target,
}

/// An input that is owned.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// Token ids.
    Tokens(Vec<u32>),
    /// An image `[channels, height, width]`.
    Pixels(Vec<f32>),
    /// A signal `[channels, samples]`.
    Signal(Vec<f32>),
}

impl Sample {
    /// It, as graphs take it.
    pub fn as_input(&self) -> Input<'_> {
        match self {
            Self::Tokens(tokens) => Input::Tokens(tokens),
            Self::Pixels(pixels) => Input::Pixels(pixels),
            Self::Signal(signal) => Input::Signal(signal),
        }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Tokens(tokens) => size_of_val(tokens.as_slice()),
            Self::Pixels(values) | Self::Signal(values) => size_of_val(values.as_slice()),
        }
    }

    /// Tokens that it has; one for an image or a signal.
    pub fn tokens(&self) -> usize {
        match self {
            Self::Tokens(tokens) => tokens.len(),
            Self::Pixels(_) | Self::Signal(_) => 1,
        }
    }
}

/// How a model learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepOptions {
    /// What is made small.
    pub objective: Objective,
    /// The learning rate of every step.
    pub schedule: Schedule,
    /// How weights follow.
    pub optimizer: AdamWOptions,
    /// The norm that gradients are cut to; `None` leaves them.
    pub clip: Option<f64>,
    /// Tokens that a sequence may have: LongRoPE chooses its factors by it.
    pub context: usize,
    /// Whether activations are computed again backward instead of kept: less memory, a third more
    /// time.
    pub checkpointing: bool,
}

/// A model whose answers are learned too.
#[derive(Debug)]
pub struct Teacher {
    /// What it computes.
    pub graph: Graph,
    /// With which weights.
    pub weights: DeviceWeights,
}

/// Products whose inputs are partly left out while a model learns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dropouts {
    ids: Vec<WeightId>,
    rate: f32,
    seed: u64,
}

/// What the numbers of dropouts are for.
const DROPOUT: u64 = 4;

impl Dropouts {
    pub fn new(ids: Vec<WeightId>, rate: f32, seed: u64) -> Self {
        Self { ids, rate, seed }
    }

    /// Lets products with weights leave out what they do in a share of a step.
    fn set(&self, weights: &mut DeviceWeights, step: u64, share: u64) {
        for &id in &self.ids {
            let purpose = [DROPOUT, step, share, id.index() as u64];
            let seed = Random::of(self.seed, &purpose).draw();
            weights.set_dropout(id, Dropout { rate: self.rate, seed });
        }
    }
}

/// A model that learns.
#[derive(Debug)]
pub struct Trainer {
    graph: Graph,
    weights: DeviceWeights,
    parameters: Vec<Parameter>,
    pub(crate) moments: Vec<Moments>,
    options: StepOptions,
    teacher: Option<Teacher>,
    dropouts: Dropouts,
    pub(crate) steps: u64,
}

/// What is asked of a graph, and what it should answer.
struct Asked<'a> {
    inputs: Vec<Input<'a>>,
    rows: Vec<Range<usize>>,
    targets: Vec<&'a Target>,
}

impl<'a> Asked<'a> {
    /// That of the examples of which something is to be learned; `None` if of none.
    fn of(examples: &[&'a Example]) -> Option<Self> {
        let learned = || examples.iter().filter(|example| example.target.count() > 0);
        let inputs: Vec<_> = learned().map(|one| one.input.as_input()).collect();
        let rows = learned().map(|one| one.target.rows()).collect();
        let targets = learned().map(|one| &one.target).collect();
        (!inputs.is_empty()).then_some(Self { inputs, rows, targets })
    }
}

/// What a step was like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// The step, counted from 1.
    pub step: u64,
    /// The mean loss of a target, before the update.
    pub loss: f64,
    /// The norm of all gradients, before it is cut.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Tokens that went in.
    pub tokens: usize,
}

impl Trainer {
    /// A model that has not learned yet. `parameters` are variables of `weights`.
    pub fn new(
        graph: Graph,
        weights: DeviceWeights,
        parameters: Vec<Parameter>,
        options: StepOptions,
    ) -> Self {
        let eight = options.optimizer.eight_bit;
        let moments =
            parameters.iter().map(|one| Moments::zeros(one.variable.elem_count(), eight)).collect();
        let dropouts = Dropouts::default();
        Self { graph, weights, parameters, moments, options, teacher: None, dropouts, steps: 0 }
    }

    /// The same, with inputs of some products left out in every step.
    pub(crate) fn with_dropouts(mut self, dropouts: Dropouts) -> Self {
        self.dropouts = dropouts;
        self
    }

    /// The same, with a teacher to learn from.
    ///
    /// # Errors
    /// If its outputs are not as many as the model's.
    pub fn with_teacher(mut self, teacher: Teacher) -> Result<Self> {
        let (found, needed) = (teacher.graph.output_width(), self.graph.output_width());
        if found != needed {
            return Err(Error::Request(format!(
                "the teacher has {found} outputs, the model {needed}: they must have one vocabulary"
            )));
        }
        self.teacher = Some(teacher);
        Ok(self)
    }

    /// What it computes.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The weights that learn.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// How it learns.
    pub fn options(&self) -> &StepOptions {
        &self.options
    }

    /// Steps that it has taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes a step over a batch, whose gradients are the sums of those of its shares.
    ///
    /// # Errors
    /// If an example does not fit the graph, nothing is to be learned, or the loss or the gradients
    /// are no finite numbers: then nothing has changed.
    pub fn step(&mut self, batch: &Shares<'_>) -> Result<StepReport> {
        let targets: usize = batch.examples().map(|example| example.target.count()).sum();
        if targets == 0 {
            return Err(Error::Request("a batch has nothing to learn".into()));
        }
        let mut gradients = Gradients::default();
        let mut total = 0.0;
        let weights = self.weights.rounded()?;
        let find =
            |share: usize| self.differentiate(&weights, &batch.shares[share], share, targets);
        let add = |(loss, found)| {
            total += loss;
            gradients.join(found)
        };
        side_by_side(self.workers(batch), batch.shares.len(), find, add)?;
        let loss = self.finite("the loss", total / targets as f64)?;
        let gradient_norm = self.finite("the norm of gradients", gradients.norm()?)?;
        let learning_rate = self.options.schedule.rate(self.steps);
        self.update(&gradients, learning_rate, self.clip(gradient_norm))?;
        self.steps += 1;
        let tokens = batch.examples().map(|example| example.input.tokens()).sum();
        Ok(StepReport { step: self.steps, loss, gradient_norm, learning_rate, tokens })
    }

    /// What the model makes of examples, whose losses are summed over all targets.
    ///
    /// # Errors
    /// If an example does not fit the graph.
    pub fn evaluate(&self, examples: &Shares<'_>) -> Result<Evaluation> {
        let mut all = Evaluation::default();
        let weights = self.weights.rounded()?;
        let find = |share: usize| {
            let Some(asked) = Asked::of(&examples.shares[share]) else {
                return Ok(Evaluation::default());
            };
            let output = self.output(&self.graph, &weights, &asked)?.detach();
            let loss = self.loss(&output, &asked)?.to_scalar::<f64>()?;
            Ok(Evaluation::of(loss, &output, &asked.targets)?)
        };
        let add = |found| {
            all = all.and(found);
            Ok(())
        };
        side_by_side(self.workers(examples), examples.shares.len(), find, add)?;
        Ok(all)
    }

    /// Shares that are worked on at the same time: a device of its own takes one after the other.
    fn workers(&self, batch: &Shares<'_>) -> usize {
        match self.weights.device().is_cpu() {
            true => batch.side_by_side(rayon::current_num_threads()),
            false => 1,
        }
    }

    /// The sum of the losses of a share, and the gradients of the share's part in the mean over so
    /// many targets. Products see `weights`, as they stand before the step.
    fn differentiate(
        &self,
        weights: &DeviceWeights,
        examples: &[&Example],
        share: usize,
        targets: usize,
    ) -> Result<(f64, Gradients)> {
        let mut gradients = Gradients::default();
        let Some(asked) = Asked::of(examples) else { return Ok((0.0, gradients)) };
        let (mut weights, aside) = (weights.clone(), MatrixGradients::default());
        self.dropouts.set(&mut weights, self.steps, share as u64);
        weights.put_aside(aside.clone());
        let part = 1.0 / targets as f64;
        let mut take = |found: &mut GradStore| gradients.take(&self.parameters, found);
        let value = match self.options.checkpointing {
            false => {
                let sum = self.loss(&self.output(&self.graph, &weights, &asked)?, &asked)?;
                take(&mut (&sum * part)?.backward()?)?;
                sum.to_scalar::<f64>()?
            }
            true => {
                let Asked { inputs, rows, .. } = &asked;
                let context = self.options.context;
                let kept = Checkpointed::forward(&self.graph, &weights, inputs, rows, context)?;
                let sum = self.loss(kept.output(), &asked)?;
                let value = sum.to_scalar::<f64>()?;
                kept.backward((sum * part)?, &mut take)?;
                value
            }
        };
        gradients.take_aside(&self.parameters, &aside)?;
        Ok((value, gradients))
    }

    fn output(&self, graph: &Graph, weights: &DeviceWeights, asked: &Asked<'_>) -> Result<Tensor> {
        let Asked { inputs, rows, .. } = asked;
        Ok(forward_rows(graph, weights, inputs, rows, self.options.context)?)
    }

    fn loss(&self, output: &Tensor, asked: &Asked<'_>) -> Result<Tensor> {
        let teacher = match &self.teacher {
            Some(Teacher { graph, weights }) => Some(self.output(graph, weights, asked)?.detach()),
            None => None,
        };
        loss(self.options.objective, output, &asked.targets, teacher.as_ref())
    }

    fn finite(&self, what: &'static str, value: f64) -> Result<f64> {
        if value.is_finite() {
            return Ok(value);
        }
        Err(Error::Diverged { step: self.steps + 1, what, value, examples: Vec::new() })
    }

    /// What gradients are multiplied with: PyTorch's `clip_grad_norm_`.
    fn clip(&self, norm: f64) -> f64 {
        self.options.clip.map_or(1.0, |most| (most / (norm + 1e-6)).min(1.0))
    }

    fn update(&mut self, gradients: &Gradients, rate: f64, clip: f64) -> Result<()> {
        for (index, parameter) in self.parameters.iter().enumerate() {
            let Some(gradient) = gradients.of(index) else { continue };
            let dims = parameter.variable.rank();
            let update = self.options.optimizer.update(self.steps + 1, rate, clip, dims);
            update.apply(&parameter.variable, gradient, &mut self.moments[index])?;
        }
        Ok(())
    }
}
