use std::path::PathBuf;

use clap::Args;
use edgeformer::config::AdapterSetting;

use super::values::adapter;

#[derive(Debug, Args)]
pub struct Export {
    /// A GGUF file or a Hugging Face folder [default: the embedded model]
    #[arg(short, long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// A low-rank adapter that becomes part of it, and its scale; may be repeated
    #[arg(long, value_name = "PATH[:SCALE]", value_parser = adapter)]
    pub adapter: Vec<AdapterSetting>,
    /// The ONNX file to write; the weights go into FILE.data beside it
    #[arg(long, value_name = "FILE")]
    pub onnx: PathBuf,
    /// Replace what is there
    #[arg(short, long)]
    pub force: bool,
    /// Files, operators and bytes as one JSON object
    #[arg(long)]
    pub json: bool,
    /// No progress on stderr
    #[arg(short, long)]
    pub quiet: bool,
}
