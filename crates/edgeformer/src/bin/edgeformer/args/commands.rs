use std::path::PathBuf;

use clap::{Args, ValueEnum};
use edgeformer::Pooling;
use serde::Serialize;

use super::values::{pooling, seconds, share};
use super::{CacheArgs, ModelArgs, SamplingArgs, SpeculationArgs};

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
    pub text: TextArgs,
}

#[derive(Debug, Args)]
pub struct Chat {
    /// What the model is told before the conversation
    #[arg(long, visible_alias = "system-prompt", value_name = "TEXT")]
    pub system: Option<String>,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub text: TextArgs,
}

/// What the commands that write text share.
#[derive(Debug, Args, Serialize)]
pub struct TextArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub cache: CacheArgs,
    /// Restore what is cached from this file if it is there, and save it in the end
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_cache: Option<PathBuf>,
    /// Tell what was chosen, why, and what the cache took
    #[arg(long)]
    #[serde(skip)]
    pub explain: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub speculation: SpeculationArgs,
    #[command(flatten)]
    #[serde(flatten)]
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
    #[command(flatten)]
    pub cache: CacheArgs,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["images", "texts", "text_file"]))]
pub struct Classify {
    /// JPEG or PNG files
    #[arg(value_name = "IMAGE", conflicts_with_all = ["texts", "text_file"])]
    pub images: Vec<PathBuf>,
    /// A text, for a model that classifies texts; may be given several times
    #[arg(long = "text", value_name = "TEXT")]
    pub texts: Vec<String>,
    /// A file with a text a line; `-` reads stdin
    #[arg(long, value_name = "FILE")]
    pub text_file: Option<PathBuf>,
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
    /// Tell what could be chosen, and why this was
    #[arg(long)]
    pub explain: bool,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
}

#[derive(Debug, Args)]
pub struct Pack {
    /// As --model
    #[arg(value_name = "MODEL")]
    pub source: Option<PathBuf>,
    /// The file to write, for --packed-file [default: MODEL.gguf.packed, model.packed in a folder
    /// of safetensors; where every command looks]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write nothing; read the whole file and the model and compare them
    #[arg(long)]
    pub verify: bool,
    /// File, bytes and seconds as one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: ModelArgs,
}

#[derive(Debug, Args)]
pub struct Tune {
    /// As --model
    #[arg(value_name = "MODEL")]
    pub source: Option<PathBuf>,
    /// Seconds that measuring may take, loading not counted
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,
    /// What was measured and chosen as one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: ModelArgs,
}

#[derive(Debug, Args)]
pub struct TuneWindow {
    /// As --model
    #[arg(value_name = "MODEL")]
    pub source: Option<PathBuf>,
    /// The text to look at
    #[arg(long, value_name = "FILE")]
    pub text: PathBuf,
    /// The share of attention beyond the sinks that a window holds
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, value_parser = share)]
    pub mass: f64,
    /// First tokens that every query sees besides its window
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub sinks: usize,
    /// The file to write, for --window
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// The windows found as one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: ModelArgs,
}
