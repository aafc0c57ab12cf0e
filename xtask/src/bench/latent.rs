use std::path::PathBuf;

use clap::Args;
use edgeformer_bench::ModelChoice;
use edgeformer_bench::latent::LatentBench;

use super::progress::Line;
use super::show::Show;
use super::{command, commit, warn_of_packed};
use crate::make_model;
use crate::run::Result;

/// Latent attention: the size of its cache, and when its two forms cross.
#[derive(Debug, Args)]
pub struct Latent {
    /// A model with latent attention [default: mla-lite of `make-model` in Q4_0]
    #[arg(long)]
    model: Option<PathBuf>,
    /// Threads that compute [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
    /// Tokens that the cache is filled with
    #[arg(long, default_value_t = 16_384)]
    tokens: usize,
    /// Tokens of context behind which the two forms are timed
    #[arg(long, default_value_t = 2048)]
    context: usize,
    /// Query tokens of the steps that are timed
    #[arg(long, value_delimiter = ',', default_value = "1,32,128,256,512")]
    spans: Vec<usize>,
    /// How often each is timed
    #[arg(long, default_value_t = 3)]
    runs: usize,
    #[command(flatten)]
    show: Show,
}

impl Latent {
    pub fn run(&self) -> Result<()> {
        let path = match &self.model {
            Some(path) => path.clone(),
            None => make_model::kept("mla-lite", "q4_0")?,
        };
        warn_of_packed(&path);
        let bench = LatentBench {
            model: ModelChoice { path, threads: self.threads },
            tokens: self.tokens,
            context: self.context,
            spans: self.spans.clone(),
            runs: self.runs,
        };
        let line = Line::new();
        let report = bench
            .run(commit(), &command(), &|progress| line.show(progress))
            .map_err(|error| error.to_string())?;
        drop(line);
        self.show.report(&report)
    }
}
