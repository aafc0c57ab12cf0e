use std::path::PathBuf;

use edgeformer_core::Format;
use serde::Serialize;

use super::defaults;
use super::head::NumLabels;
use super::low_rank::LoraOptions;
use crate::data::Strictness;
use crate::optimizer::{AdamWOptions, Decay};
use crate::{Error, Result};

/// What of a model learns.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Every weight.
    Full,
    /// Low-rank adapters beside linear layers (Hu et al., arXiv 2106.09685). Over weights that are
    /// quantized it is QLoRA (Dettmers et al., arXiv 2305.14314).
    Lora(LoraOptions),
    /// The last blocks, and what follows them.
    LastBlocks(usize),
    /// What turns hidden states into output.
    Head,
}

/// A model, what it learns from, and how.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// A GGUF file or a Hugging Face folder.
    pub model: PathBuf,
    /// Records, as JSON Lines.
    pub data: PathBuf,
    /// Records to validate with; a share of the data where there are none.
    pub validation: Option<PathBuf>,
    /// The share of the data that is kept to validate with.
    pub validation_share: f64,
    /// What becomes of lines that are no records.
    #[serde(skip)]
    pub strictness: Strictness,
    /// The folder that is written.
    pub output: PathBuf,
    /// What learns.
    pub method: Method,
    /// The classes of a new classifier in the place of the model's head; `None` leaves the head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_labels: Option<NumLabels>,
    /// What linear layers of a frozen base are quantized to.
    #[serde(serialize_with = "format_name")]
    pub base_format: Option<Format>,
    /// A model whose answers are learned too.
    pub teacher: Option<PathBuf>,
    /// What a teacher's logits are divided by.
    pub temperature: f64,
    /// The share of a teacher in the loss.
    pub teacher_share: f64,
    /// How often all records are learned, where `steps` does not say.
    pub epochs: f64,
    /// Steps in all.
    pub steps: Option<u64>,
    /// Records of a step.
    pub batch: usize,
    /// Tokens that go through the model at a time; gradients of a batch are added up.
    pub part_tokens: usize,
    /// Whether activations are computed again backward instead of kept.
    pub checkpointing: bool,
    /// Bytes that the run may have resident; batches are split, and activations computed again, to stay
    /// within it.
    pub memory_budget: Option<u64>,
    /// Tokens of a record at most [default: the model's context].
    pub context: Option<usize>,
    /// Whether longer records are cut; else they are refused.
    pub truncate: bool,
    /// Whether records are learned as one stream in windows of the context, every token of them.
    pub windows: bool,
    /// Tokens from the beginning of a window to that of the next [default: the context]; windows that
    /// overlap show tokens behind different beginnings.
    pub stride: Option<usize>,
    /// The share of the inputs of linear layers that is left out in training; adapters have their
    /// own.
    pub dropout: f32,
    /// What the matrices of linear layers are rounded to while they learn, so that the model loses
    /// little when it is stored so.
    #[serde(serialize_with = "format_name")]
    pub quantize_aware: Option<Format>,
    /// The highest learning rate.
    pub learning_rate: Option<f64>,
    /// How it falls.
    pub decay: Decay,
    /// The share of steps in which it rises.
    pub warmup: f64,
    /// How weights follow.
    pub optimizer: AdamWOptions,
    /// The norm that gradients are cut to.
    pub clip: Option<f64>,
    /// Decay of an exponential mean of the weights.
    pub average: Option<f64>,
    /// Steps between evaluations; a tenth of the run where nobody says.
    pub evaluate_every: Option<u64>,
    /// Evaluations without improvement after which the run ends.
    pub patience: Option<u64>,
    /// Steps between checkpoints.
    pub save_every: Option<u64>,
    /// What every random number follows from.
    pub seed: u64,
    /// The machine, for the card.
    #[serde(skip)]
    pub hardware: String,
}

impl Request {
    /// A request with the defaults of `transformers` and `peft`, and of the literature where these
    /// have none.
    pub fn new(model: PathBuf, data: PathBuf, output: PathBuf, method: Method) -> Self {
        Self {
            model,
            data,
            output,
            method,
            validation: None,
            validation_share: 0.0,
            strictness: Strictness::Skip,
            num_labels: None,
            base_format: None,
            teacher: None,
            temperature: 2.0,
            teacher_share: 0.5,
            epochs: 3.0,
            steps: None,
            batch: 8,
            part_tokens: 2048,
            checkpointing: false,
            memory_budget: None,
            context: None,
            truncate: false,
            windows: false,
            stride: None,
            dropout: 0.0,
            quantize_aware: None,
            learning_rate: None,
            decay: Decay::Cosine,
            warmup: 0.03,
            optimizer: AdamWOptions::default(),
            clip: Some(1.0),
            average: None,
            evaluate_every: None,
            patience: None,
            save_every: None,
            seed: 0,
            hardware: String::new(),
        }
    }

    /// Whether the settings can be.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check(&self) -> Result<()> {
        let rules = [
            (self.epochs > 0.0 && self.epochs.is_finite(), "epochs must be above 0"),
            (self.batch > 0, "a batch must have a record"),
            (self.part_tokens > 0, "parts of a batch must have a token"),
            (
                (0.0..1.0).contains(&self.validation_share),
                "the validation share is from 0 to below 1",
            ),
            ((0.0..1.0).contains(&self.warmup), "the share of warm-up is from 0 to below 1"),
            (
                self.learning_rate.is_none_or(|rate| rate > 0.0 && rate.is_finite()),
                "the learning rate must be above 0",
            ),
            (self.clip.is_none_or(|clip| clip > 0.0), "the norm to cut to must be above 0"),
            (
                self.average.is_none_or(|decay| (0.0..1.0).contains(&decay)),
                "the decay of the mean is from 0 to below 1",
            ),
            (self.num_labels != Some(NumLabels::Count(0)), "a classifier has a class at least"),
            (self.temperature > 0.0, "the temperature must be above 0"),
            ((0.0..=1.0).contains(&self.teacher_share), "the teacher's share is from 0 to 1"),
            (self.context.is_none_or(|tokens| tokens > 1), "a context must have two tokens"),
            (self.stride.is_none_or(|tokens| tokens > 0), "a stride must have a token"),
            ((0.0..1.0).contains(&self.dropout), "dropout is from 0 to below 1"),
            (
                self.optimizer.betas.iter().all(|beta| (0.0..1.0).contains(beta)),
                "the optimizer's betas are from 0 to below 1",
            ),
        ];
        if let Some((_, problem)) = rules.iter().find(|(holds, _)| !holds) {
            return Err(Error::Request((*problem).into()));
        }
        if matches!(self.method, Method::Lora(_)) && self.quantize_aware.is_some() {
            let problem = "weights that do not learn cannot learn to be quantized (--method full)";
            return Err(Error::Request(problem.into()));
        }
        if matches!(self.method, Method::Lora(_)) && self.num_labels.is_some() {
            let problem = "an adapter holds no new classifier: let that learn first (--method head, \
                           or full), then an adapter beside the result, without --num-labels";
            return Err(Error::Request(problem.into()));
        }
        match (&self.method, self.base_format) {
            (Method::Lora(options), _) => options.check(),
            (_, None) => Ok(()),
            (_, Some(format)) => Err(Error::Request(format!(
                "a base in {} stays as it is: only adapters learn beside it (--method lora)",
                format.name()
            ))),
        }
    }

    /// The highest learning rate, for a model of so many weights.
    pub fn rate(&self, weights: usize) -> f64 {
        self.learning_rate.unwrap_or_else(|| defaults::learning_rate(&self.method, weights))
    }
}

fn format_name<S: serde::Serializer>(format: &Option<Format>, to: S) -> Result<S::Ok, S::Error> {
    format.map(Format::name).serialize(to)
}
