use std::path::PathBuf;

use clap::Args;
use edgeformer::config::AdapterSetting;
use edgeformer_models::checkpoint::OutType;

use super::values::adapter;

#[derive(Debug, Args)]
pub struct Merge {
    /// The model: a GGUF file or a Hugging Face folder
    #[arg(short, long, value_name = "PATH")]
    pub model: PathBuf,
    /// An adapter of it, and what its scale is multiplied with; may be repeated
    #[arg(long, value_name = "PATH[:SCALE]", value_parser = adapter, required = true)]
    pub adapter: Vec<AdapterSetting>,
    /// What to write: a GGUF file if its name ends in .gguf, else a folder
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    /// Format of the matrices: f32, f16, bf16, q8_0 (GGUF alone), or auto, as they are (in a
    /// folder f16 for quantized ones)
    #[arg(long, value_name = "TYPE", default_value_t)]
    pub outtype: OutType,
    /// Replace what is there
    #[arg(short, long)]
    pub force: bool,
    /// File, tensors, bytes and seconds as one JSON object
    #[arg(long)]
    pub json: bool,
    /// No progress on stderr
    #[arg(short, long)]
    pub quiet: bool,
}
