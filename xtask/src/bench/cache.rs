use std::path::PathBuf;

use clap::Args;
use edgeformer_bench::cache::{CacheBench, Configuration};

use super::progress::Line;
use super::show::Show;
use super::{ModelArguments, command, commit, shared, worker};
use crate::run::Result;

/// Ways to keep the past: memory, speed and quality of each.
#[derive(Debug, Args)]
pub struct Cache {
    #[command(flatten)]
    model: ModelArguments,
    /// Lengths of the prompts at which speed and memory are measured
    #[arg(long, value_delimiter = ',', default_value = "4096,16384")]
    depths: Vec<usize>,
    /// Rows besides f16: formats (q8_0/q4_0), "window N", "adaptive LEAST:MOST", "pages N",
    /// "spilled 1/N", "cold FORMAT", "h2o N", "snapkv N" [default: one of each]
    #[arg(long, value_delimiter = ',')]
    configs: Vec<Configuration>,
    /// One more row: windows that `edgeformer tune-window` has written
    #[arg(long)]
    window_file: Option<PathBuf>,
    /// Text on which quality is measured, may be named several times; the first is the prompt too
    /// [default: TinyStories and WikiText-2 of the reference data]
    #[arg(long)]
    text: Vec<PathBuf>,
    /// Tokens of each text that are used
    #[arg(long, default_value_t = 32_768)]
    quality_tokens: usize,
    /// Tokens of the windows that texts are cut into [default: what the model was trained on, at
    /// most 4096]
    #[arg(long)]
    quality_context: Option<usize>,
    /// Tokens that are decoded behind each prompt
    #[arg(long, default_value_t = 32)]
    decode_tokens: usize,
    /// How often speed is measured
    #[arg(long, default_value_t = 3)]
    runs: usize,
    #[command(flatten)]
    show: Show,
}

/// What quality is measured on if nobody says.
const TEXTS: [&str; 2] =
    ["data/tinystories-sample/tinystories_200k.txt", "data/wikitext-2/test.txt"];

impl Cache {
    pub fn run(&self) -> Result<()> {
        let bench = CacheBench {
            model: self.model.choice()?,
            configurations: self.configurations()?,
            depths: self.depths.clone(),
            decode_tokens: self.decode_tokens,
            runs: self.runs,
            texts: self.texts(),
            quality_tokens: self.quality_tokens,
            quality_context: self.quality_context,
        };
        let line = Line::new();
        let report = bench
            .run(&worker(None)?, commit(), &command(), &|progress| line.show(progress))
            .map_err(|error| error.to_string())?;
        drop(line);
        self.show.report(&report)
    }

    fn configurations(&self) -> Result<Vec<Configuration>> {
        let mut configurations = match self.configs.as_slice() {
            [] => Configuration::standard(),
            chosen => chosen.to_vec(),
        };
        if let Some(file) = &self.window_file {
            configurations.push(Configuration::tuned(file).map_err(|error| error.to_string())?);
        }
        Ok(configurations)
    }

    fn texts(&self) -> Vec<PathBuf> {
        if !self.text.is_empty() {
            return self.text.clone();
        }
        let found = TEXTS.iter().map(|text| shared(text));
        found
            .filter_map(|text| text.inspect_err(|error| eprintln!("skipped: {error}")).ok())
            .collect()
    }
}
