use std::path::PathBuf;

use clap::{Args, ValueEnum};
use edgeformer::attention_conversion::{Align, LatentNorm, Weighting};
use edgeformer_models::checkpoint::OutType;

use super::values::count;

#[derive(Debug, Args)]
pub struct Convert {
    /// A GGUF file, or a folder as Hugging Face lays it out
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// What to write: a GGUF file if its name ends in .gguf, else a folder
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// Format of the matrices: f32, f16, bf16, q8_0 (GGUF alone), or auto, as they are (in a
    /// folder f16 for quantized ones)
    #[arg(long, value_name = "TYPE", default_value_t)]
    pub outtype: OutType,
    /// Replace what is there
    #[arg(short, long)]
    pub force: bool,
    /// File, tensors, bytes and seconds as one JSON object, and what became of attention
    #[arg(long)]
    pub json: bool,
    /// No progress on stderr
    #[arg(short, long)]
    pub quiet: bool,
    // Last, for its heading holds for all that comes behind it.
    #[command(flatten)]
    pub attention: Attention,
}

/// Attention that caches less.
#[derive(Debug, Args)]
#[command(next_help_heading = "Attention that caches less")]
pub struct Attention {
    /// Convert attention: to fewer key-value heads, or to latent attention
    #[arg(long, value_enum, value_name = "gqa|mla")]
    pub attention: Option<Kind>,
    /// gqa: key-value heads of the result
    #[arg(long, value_name = "G", value_parser = count, requires = "attention")]
    #[arg(required_if_eq("attention", "gqa"))]
    pub groups: Option<usize>,
    /// gqa: how heads are made alike before they become one [default: principal]
    #[arg(long, value_enum, value_name = "HOW", requires = "attention")]
    pub align: Option<AlignArg>,
    /// mla: width of the latent [default: all of keys and values]
    #[arg(long, value_name = "R", value_parser = count, requires = "attention")]
    pub rank: Option<usize>,
    /// mla: columns that keep their rotation [default: all at full rank, else those of one head]
    #[arg(long, value_name = "D", value_parser = count, requires = "attention")]
    pub rope_dims: Option<usize>,
    /// mla: what becomes of the norm of latents [default: exact]
    #[arg(long, value_enum, value_name = "NORM", requires = "attention")]
    pub norm: Option<NormArg>,
    /// mla: how errors are weighed [default: inputs]
    #[arg(long, value_enum, value_name = "HOW", requires = "attention")]
    pub weighting: Option<WeightingArg>,
    /// A text that the model is run on first: what attention reads there weighs errors, and one
    /// window in eight measures what the conversion costs [default: by the weights alone]
    #[arg(long, value_name = "FILE", requires = "attention")]
    pub calibration: Option<PathBuf>,
    /// Windows of the text that are read, at most [default: all]
    #[arg(long, value_name = "N", value_parser = count, requires = "calibration")]
    pub chunks: Option<usize>,
}

/// What attention becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Grouped-query attention: fewer key-value heads
    Gqa,
    /// Multi-head latent attention: one latent and one rotated key for all heads
    Mla,
}

/// How heads are made alike.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum AlignArg {
    /// Turned towards their mean
    Procrustes,
    /// Not at all: neighbours are averaged, for comparison
    Plain,
    /// Projected onto what they have most of in common
    Principal,
}

/// What becomes of the norm of latents.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum NormArg {
    /// There is none: exact at full rank, read by EdgeFormer alone
    Exact,
    /// It stays: an approximation that other runtimes run
    Portable,
}

/// How errors of a factorisation are weighed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum WeightingArg {
    /// By what attention reads and what its output is worth
    Inputs,
    /// All alike: the plain decomposition of the weights, for comparison
    Plain,
}

impl From<AlignArg> for Align {
    fn from(align: AlignArg) -> Self {
        match align {
            AlignArg::Procrustes => Self::Procrustes,
            AlignArg::Plain => Self::Plain,
            AlignArg::Principal => Self::Principal,
        }
    }
}

impl From<NormArg> for LatentNorm {
    fn from(norm: NormArg) -> Self {
        match norm {
            NormArg::Exact => Self::Exact,
            NormArg::Portable => Self::Portable,
        }
    }
}

impl From<WeightingArg> for Weighting {
    fn from(weighting: WeightingArg) -> Self {
        match weighting {
            WeightingArg::Inputs => Self::Inputs,
            WeightingArg::Plain => Self::Plain,
        }
    }
}
