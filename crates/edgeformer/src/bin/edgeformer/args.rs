//! Arguments. What is also a setting is optional here: unset, the file, the environment and the
//! defaults decide (`edgeformer::Config`).

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use edgeformer::config::Sources;
use edgeformer::{CacheFormat, Config, Pooling};
use serde::Serialize;

use crate::failure::Failure;

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
    /// Name what is on images
    Classify(Classify),
    /// Show a model's metadata, tensors and graph
    Inspect(Inspect),
    /// List backends, devices and instruction sets, and why others cannot serve
    Devices(Devices),
    /// Tell what a model will take, before anything is loaded
    Plan(Plan),
}

/// Which model, and how it is run.
#[derive(Debug, Default, Args, Serialize)]
pub struct ModelArgs {
    /// A GGUF file or a Hugging Face folder [default: the embedded model]
    #[arg(short, long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// `auto`, a backend of `edgeformer devices`, or BACKEND/DEVICE
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Threads that compute [default: all cores]
    #[arg(short, long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Instruction set of the CPU backend [default: the best]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isa: Option<String>,
    /// Tokens of context [default: what the model was trained on, at most 4096]
    #[arg(short, long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctx_size: Option<usize>,
    /// Tokens of a chunk in which prompts are processed [default: 512]
    #[arg(long, visible_alias = "chunk", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ubatch_size: Option<usize>,
    /// Format of cached keys [default: f16; f32 for logits]
    #[arg(long, visible_alias = "ctk", value_name = "FORMAT", value_parser = cache_format)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_type_k: Option<CacheFormat>,
    /// Format of cached values [default: f16; f32 for logits]
    #[arg(long, visible_alias = "ctv", value_name = "FORMAT", value_parser = cache_format)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_type_v: Option<CacheFormat>,
    /// Tokens of a cache page [default: 64]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_size: Option<usize>,
    /// A settings file [default: edgeformer.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// No progress and no statistics
    #[arg(short, long)]
    #[serde(skip_serializing_if = "is_false")]
    pub quiet: bool,
}

/// How tokens are chosen.
#[derive(Debug, Default, Args, Serialize)]
pub struct SamplingArgs {
    /// Divides the logits; 0 is greedy [default: 0.8]
    #[arg(long, visible_alias = "temp", value_name = "T")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Keep the K likeliest tokens; 0 keeps all [default: 40]
    #[arg(long, value_name = "K")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Keep the likeliest tokens up to this probability [default: 0.95]
    #[arg(long, value_name = "P")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// Keep tokens at least this share as likely as the likeliest [default: 0.05]
    #[arg(long, value_name = "P")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f32>,
    /// Keep the most typical tokens up to this probability [default: 1]
    #[arg(long, visible_alias = "typical", value_name = "P")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typical_p: Option<f32>,
    /// Divide the logits of recent tokens [default: 1]
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat_penalty: Option<f32>,
    /// How many tokens are recent; -1 is all [default: 64]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat_last_n: Option<i64>,
    /// Subtract from the logits of recent tokens [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f32>,
    /// Subtract from the logits of recent tokens, as often as they came [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f32>,
    /// Penalise repeated sequences (DRY); 0 is off [default: 0]
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_multiplier: Option<f32>,
    /// Growth of the DRY penalty with the length [default: 1.75]
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_base: Option<f32>,
    /// Repetitions up to this length cost nothing [default: 2]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_allowed_length: Option<usize>,
    /// How far DRY looks back; -1 is to the start [default: -1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_penalty_last_n: Option<i64>,
    /// Where random numbers start [default: drawn]
    #[arg(short, long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Change the logit of a token: TOKEN+BIAS or TOKEN-BIAS (`inf` bans or forces); repeatable
    #[arg(long, value_name = "TOKEN±BIAS", value_parser = logit_bias)]
    #[serde(skip)]
    pub logit_bias: Vec<(u32, f32)>,
    /// End the answer at this text; repeatable
    #[arg(long, visible_alias = "reverse-prompt", value_name = "TEXT")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Tokens of an answer at most [default: until the context is full]
    #[arg(short = 'n', long, visible_alias = "n-predict", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<usize>,
    /// Go on behind the end of the text
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    pub ignore_eos: bool,
}

#[derive(Debug, Args)]
pub struct Generate {
    /// The text to continue; `-` reads it from stdin
    #[arg(value_name = "PROMPT", default_value = "-")]
    pub prompt: String,
    /// Repeat the prompt before the answer
    #[arg(long)]
    pub echo: bool,
    /// Answer and statistics as one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub sampling: SamplingArgs,
}

#[derive(Debug, Args)]
pub struct Chat {
    /// What the model is told before the conversation
    #[arg(long, visible_alias = "system-prompt", value_name = "TEXT")]
    pub system: Option<String>,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub sampling: SamplingArgs,
}

#[derive(Debug, Args)]
pub struct Embed {
    /// The texts; `-` reads one a line from stdin
    #[arg(value_name = "TEXT", required = true)]
    pub texts: Vec<String>,
    /// How the states of a text become one vector [default: as the model says, else mean]
    #[arg(long, value_parser = pooling, value_name = "mean|cls")]
    pub pooling: Option<Pooling>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: ModelArgs,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("input").required(true).args(["tokens", "pixels"]))]
pub struct Logits {
    /// Token ids: `1,2,3`, or a safetensors file with the tensor `input_ids`
    #[arg(long, value_name = "FILE|IDS")]
    pub tokens: Option<String>,
    /// A safetensors file with the tensor `pixel_values`
    #[arg(long, value_name = "FILE")]
    pub pixels: Option<PathBuf>,
    /// The safetensors file to write: `logits`, or `last_hidden_state` for encoders
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Shape and statistics as one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: ModelArgs,
}

#[derive(Debug, Args)]
pub struct Classify {
    /// JPEG or PNG files
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<PathBuf>,
    /// Classes to name
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub top: usize,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: ModelArgs,
}

#[derive(Debug, Args)]
pub struct Inspect {
    /// The graph instead, as text or as a Mermaid chart
    #[arg(long, value_enum, value_name = "text|mermaid", num_args = 0..=1, default_missing_value = "text")]
    pub graph: Option<GraphForm>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: ModelArgs,
}

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum GraphForm {
    Text,
    Mermaid,
}

#[derive(Debug, Args)]
pub struct Devices {
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: ModelArgs,
}

#[derive(Debug, Args)]
pub struct Plan {
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: ModelArgs,
}

impl ModelArgs {
    /// Settings of a command that samples nothing.
    pub fn config(&self) -> Result<Config, Failure> {
        self.config_with(&SamplingArgs::default())
    }

    /// Settings, the weaker sources included.
    pub fn config_with(&self, sampling: &SamplingArgs) -> Result<Config, Failure> {
        #[derive(Serialize)]
        struct Overrides<'a> {
            #[serde(flatten)]
            model: &'a ModelArgs,
            #[serde(flatten)]
            sampling: &'a SamplingArgs,
        }
        let overrides = Overrides { model: self, sampling };
        let sources = Sources { file: self.config.as_deref(), environment: true, overrides };
        Config::load(&sources).map_err(|error| Failure::Usage(error.to_string()))
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn cache_format(text: &str) -> Result<CacheFormat, String> {
    match text {
        "f32" => Ok(CacheFormat::F32),
        "f16" => Ok(CacheFormat::F16),
        _ => Err("known are f32 and f16".into()),
    }
}

fn pooling(text: &str) -> Result<Pooling, String> {
    match text {
        "mean" => Ok(Pooling::Mean),
        "cls" => Ok(Pooling::Cls),
        _ => Err("known are mean and cls".into()),
    }
}

/// `15043+1.5`, `15043-inf`, as llama.cpp writes it.
fn logit_bias(text: &str) -> Result<(u32, f32), String> {
    let wrong = || format!("{text:?} is not TOKEN+BIAS or TOKEN-BIAS");
    let at = text.find(['+', '-']).ok_or_else(wrong)?;
    let token = text[..at].parse().map_err(|_| wrong())?;
    let bias: f32 = text[at..].parse().map_err(|_| wrong())?;
    if bias.is_nan() { Err(wrong()) } else { Ok((token, bias)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn logit_biases_read_as_in_llama_cpp() {
        assert_eq!(logit_bias("15043+1"), Ok((15043, 1.0)));
        assert_eq!(logit_bias("7-inf"), Ok((7, f32::NEG_INFINITY)));
        assert!(
            logit_bias("7").is_err() && logit_bias("x+1").is_err() && logit_bias("7+x").is_err()
        );
    }
}
