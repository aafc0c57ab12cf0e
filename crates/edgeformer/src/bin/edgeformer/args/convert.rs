use std::path::PathBuf;

use clap::Args;
use edgeformer_models::checkpoint::OutType;

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
    /// File, tensors, bytes and seconds as one JSON object
    #[arg(long)]
    pub json: bool,
    /// No progress on stderr
    #[arg(short, long)]
    pub quiet: bool,
}
