use clap::Args;
use edgeformer_bench::quantization::{CostBench, Mixture};

use super::progress::Line;
use super::show::Show;
use super::{command, commit, peer, worker};
use crate::make_model;
use crate::run::Result;

/// Time and memory that quantizing a model takes, beside llama.cpp.
#[derive(Debug, Args)]
pub struct QuantizationCost {
    /// A model of make-model: it is made in f16 if it is not there
    #[arg(long, default_value = "llama-1b")]
    model: String,
    /// Formats, by llama.cpp's names
    #[arg(long, value_delimiter = ',', default_value = "q4_0,q4_k_m")]
    formats: Vec<Mixture>,
    /// How often each is measured, both in turns
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Threads that round [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
    #[command(flatten)]
    peer: peer::LlamaCpp,
    #[command(flatten)]
    show: Show,
}

impl QuantizationCost {
    /// How this task must be built: with llama.cpp.
    pub fn build(&self) -> peer::Build {
        self.peer.build()
    }

    pub fn run(&self) -> Result<()> {
        let bench = CostBench {
            model: make_model::kept(&self.model, "f16")?,
            formats: self.formats.clone(),
            runs: self.runs,
            threads: self.threads,
        };
        let version = self.peer.version()?;
        let line = Line::new();
        let report = bench
            .run(&worker(None)?, commit(), &command(), &version, &|progress| line.show(progress))
            .map_err(|error| error.to_string())?;
        drop(line);
        self.show.report(&report)
    }
}
