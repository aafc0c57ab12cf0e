use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::RunArguments;
use super::values::count;

/// Lets a model learn from the beginning.
#[derive(Debug, Args)]
pub struct Train {
    /// A Hugging Face folder without weights: config.json and a tokenizer
    #[arg(long, value_name = "FOLDER")]
    pub config: PathBuf,
    /// What it learns: a text, or records as finetune takes them, learned as one stream in windows of
    /// the context
    #[arg(short, long, value_name = "FILE")]
    pub data: PathBuf,
    /// The folder for the model, its start, checkpoints, metrics and the card; a run that was stopped
    /// goes on
    #[arg(short, long, value_name = "FOLDER")]
    pub output: PathBuf,
    /// What to validate with
    #[arg(long, value_name = "FILE")]
    pub validation: Option<PathBuf>,
    /// Else this share of the windows
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub validation_split: f64,
    /// End at the first line that is no record, instead of leaving it out
    #[arg(long)]
    pub strict: bool,
    /// Tokens from the beginning of a window to that of the next; less than the context lets windows
    /// overlap [default: the context]
    #[arg(long, value_name = "N", value_parser = count)]
    pub stride: Option<usize>,
    #[command(flatten)]
    pub run: RunArguments,
    /// What was done as one JSON object
    #[arg(long)]
    pub json: bool,
    /// No progress on stderr
    #[arg(short, long)]
    pub quiet: bool,
}

/// Makes tokenizers.
#[derive(Debug, Args)]
pub struct Tokenizer {
    #[command(subcommand)]
    pub task: TokenizerTask,
}

#[derive(Debug, Subcommand)]
pub enum TokenizerTask {
    /// Learn a vocabulary of byte-level BPE from texts
    Train(TokenizerTrain),
}

/// Learns a vocabulary.
#[derive(Debug, Args)]
pub struct TokenizerTrain {
    /// Texts, in UTF-8
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Tokens of the vocabulary, at most
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = count)]
    pub vocab_size: usize,
    /// How often two tokens must stand beside each other to become one
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub min_frequency: u64,
    /// Make every digit a token of its own, for arithmetic
    #[arg(long)]
    pub split_digits: bool,
    /// The folder that gets tokenizer.json and tokenizer_config.json
    #[arg(short, long, value_name = "FOLDER")]
    pub output: PathBuf,
    /// What was done as one JSON object
    #[arg(long)]
    pub json: bool,
    /// No progress on stderr
    #[arg(short, long)]
    pub quiet: bool,
}
