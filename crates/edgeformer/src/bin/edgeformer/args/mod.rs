//! Arguments. What is also a setting is optional here: unset, the file, the environment and the
//! defaults decide (`edgeformer::Config`).
//!
//! - `commands`: what each command takes
//! - `convert`, `curate`, `finetune`, `merge`, `train`: what these take
//! - `eval`: what each measure of `eval` takes; `quantize`: what makes models smaller
//! - `model`, `cache`, `sampling`, `speculation`: settings that several share
//! - `values`: how single values are read

mod cache;
mod commands;
mod convert;
#[cfg(feature = "train")]
mod curate;
mod eval;
#[cfg(feature = "onnx")]
mod export;
#[cfg(feature = "train")]
mod finetune;
#[cfg(feature = "train")]
mod merge;
mod model;
mod quantize;
mod sampling;
mod speculation;
#[cfg(feature = "train")]
mod train;
mod values;

use clap::{Parser, Subcommand};

pub use cache::CacheArgs;
pub use commands::{
    Chat, Classify, Devices, Embed, Generate, GraphForm, Inspect, Logits, Pack, Plan, Tune,
    TuneWindow,
};
pub use convert::{Attention, Convert, Kind};
#[cfg(feature = "train")]
pub use curate::Curate;
pub use eval::{Accuracy, Embeddings, Eval, Kl, Measure, Perplexity, RunArgs, WindowArgs};
#[cfg(feature = "onnx")]
pub use export::Export;
#[cfg(feature = "train")]
pub use finetune::{Finetune, MethodArg, RunArguments, ScheduleArg};
#[cfg(feature = "train")]
pub use merge::Merge;
pub use model::ModelArgs;
pub use quantize::{Calibrate, Quantize};
pub use sampling::SamplingArgs;
pub use speculation::SpeculationArgs;
#[cfg(feature = "train")]
pub use train::{Tokenizer, TokenizerTask, Train};

/// Runs transformers on the machine at hand.
#[derive(Debug, Parser)]
#[command(name = "edgeformer", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Continue a text
    Generate(Generate),
    /// Talk with a model
    Chat(Chat),
    /// Turn texts into vectors, with an encoder
    Embed(Embed),
    /// Write what a model computes for an input, to compare with another runtime
    Logits(Logits),
    /// Name the class of images or texts
    Classify(Classify),
    /// Show a model's metadata, tensors and graph
    Inspect(Inspect),
    /// List backends, devices and instruction sets, and why others cannot serve
    Devices(Devices),
    /// Tell what a model will take, before anything is loaded
    Plan(Plan),
    /// Pack a model's weights into a file beside it, which later starts map
    Pack(Pack),
    /// Convert a Hugging Face folder to GGUF, or GGUF to a folder
    Convert(Convert),
    /// Write a model as an ONNX file for other runtimes, its cache as inputs and outputs
    #[cfg(feature = "onnx")]
    Export(Export),
    /// Let a new model learn, from a configuration and a text
    #[cfg(feature = "train")]
    Train(Box<Train>),
    /// Make a tokenizer
    #[cfg(feature = "train")]
    Tokenizer(Tokenizer),
    /// Let a model learn from your records, on this machine
    #[cfg(feature = "train")]
    Finetune(Box<Finetune>),
    /// Merge low-rank adapters into a model's weights
    #[cfg(feature = "train")]
    Merge(Merge),
    /// Measure how this machine runs a model best, and remember it for all commands
    Tune(Tune),
    /// Find how far each head of a model looks back, for --window
    TuneWindow(TuneWindow),
    /// Measure a model: perplexity, divergence from a reference, accuracy
    Eval(Eval),
    /// Record what a model's products read while it reads a text, for quantize
    Calibrate(Calibrate),
    /// Make a model smaller: a GGUF file of another format
    Quantize(Quantize),
    /// Choose few records that teach a model much, out of many
    #[cfg(feature = "train")]
    Curate(Curate),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
