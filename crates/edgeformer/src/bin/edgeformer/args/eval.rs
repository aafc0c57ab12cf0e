use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use edgeformer::Pooling;
use edgeformer::evaluate::Activations;

use super::values::{count, pooling};
use super::{CacheArgs, ModelArgs};

/// What is the same in the help of every text measure.
const NUMBERS: &str = "Keys and values are cached in f32 unless --cache-type-k and --cache-type-v \
                       say otherwise; windows have 512 tokens unless --ctx-size does.";

#[derive(Debug, Args)]
pub struct Eval {
    #[command(subcommand)]
    pub measure: Measure,
}

/// What is measured.
#[derive(Debug, Subcommand)]
pub enum Measure {
    /// Perplexity of a model on a text, counted as llama.cpp counts it
    Perplexity(Perplexity),
    /// How far a model has gone from a reference: Kullback-Leibler divergence on a text
    Kl(Kl),
    /// How often a model is right: on images, or on questions with choices
    Accuracy(Accuracy),
    /// How alike the vectors of two encoders are, for each line of a text
    Embeddings(Embeddings),
}

/// What all measures share.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Keep what is measured in this file, and go on from it if it is there
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: ModelArgs,
}

/// Which part of a text is read.
#[derive(Debug, Args)]
pub struct WindowArgs {
    /// The text
    #[arg(long, value_name = "FILE")]
    pub text: PathBuf,
    /// Windows that are read at most [default: all]
    #[arg(long, value_name = "N", value_parser = count)]
    pub chunks: Option<usize>,
    /// Let windows overlap: each starts N tokens behind the one before, and scores what that one
    /// did not [default: no overlap, the second half of each window is scored]
    #[arg(long, visible_alias = "ppl-stride", value_name = "N", value_parser = count)]
    pub stride: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = NUMBERS)]
pub struct Perplexity {
    #[command(flatten)]
    pub windows: WindowArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
}

#[derive(Debug, Args)]
#[command(after_help = NUMBERS)]
pub struct Kl {
    /// The model to compare with: a GGUF file or a Hugging Face folder
    #[arg(long, value_name = "PATH")]
    pub reference: PathBuf,
    /// `f32` turns the model's quantized weights into floats first, so that activations are floats
    /// too: what 8-bit activations cost is the divergence without it less the one with it
    #[arg(long, value_enum, value_name = "usual|f32", default_value = "usual")]
    pub activations: ActivationsArg,
    #[command(flatten)]
    pub windows: WindowArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
}

/// What activations are in products with quantized weights.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ActivationsArg {
    Usual,
    F32,
}

impl From<ActivationsArg> for Activations {
    fn from(activations: ActivationsArg) -> Self {
        match activations {
            ActivationsArg::Usual => Self::AsUsual,
            ActivationsArg::F32 => Self::F32,
        }
    }
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["images", "questions"]))]
#[command(after_help = "Keys and values are cached in f32 unless --cache-type-k and \
                        --cache-type-v say otherwise.")]
pub struct Accuracy {
    /// A folder of JPEG and PNG files, with --labels or --reference
    #[arg(long, value_name = "FOLDER")]
    pub images: Option<PathBuf>,
    /// What is on them: lines {"image": "a.jpg", "label": 3} or one object {"a.jpg": 3}; classes
    /// are indices or names
    #[arg(long, value_name = "FILE", conflicts_with = "questions")]
    pub labels: Option<PathBuf>,
    /// A model that classifies the images too: how often both say the same
    #[arg(long, value_name = "PATH", conflicts_with = "questions")]
    pub reference: Option<PathBuf>,
    /// Lines {"context": "...", "choices": ["...", "..."], "label": 0}; the likeliest choice behind
    /// the context counts as the answer
    #[arg(long, value_name = "FILE")]
    pub questions: Option<PathBuf>,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Debug, Args)]
pub struct Embeddings {
    /// The encoder to compare with
    #[arg(long, value_name = "PATH")]
    pub reference: PathBuf,
    /// The texts, one a line
    #[arg(long, value_name = "FILE")]
    pub text: PathBuf,
    /// How the states of a text become one vector [default: as each model says, else mean]
    #[arg(long, value_parser = pooling, value_name = "mean|cls")]
    pub pooling: Option<Pooling>,
    #[command(flatten)]
    pub run: RunArgs,
}
