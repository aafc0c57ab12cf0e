use std::path::PathBuf;

use clap::Args;
use edgeformer_bench::stream::StreamBench;

use super::progress::Line;
use super::show::Show;
use super::{ModelArguments, command, commit, shared};
use crate::run::Result;

/// A text that does not end: perplexity with sinks, with a window, and where refusing ends.
#[derive(Debug, Args)]
pub struct Stream {
    #[command(flatten)]
    model: ModelArguments,
    /// The text [default: TinyStories of the reference data]
    #[arg(long)]
    text: Option<PathBuf>,
    /// Tokens of it that are read
    #[arg(long, default_value_t = 20_000)]
    tokens: usize,
    /// Newest tokens that a query sees
    #[arg(long, default_value_t = 252)]
    window: usize,
    /// First tokens that it sees besides
    #[arg(long, default_value_t = 4)]
    sinks: usize,
    /// Tokens of which one perplexity is told
    #[arg(long, default_value_t = 1000)]
    slice: usize,
    #[command(flatten)]
    show: Show,
}

impl Stream {
    pub fn run(&self) -> Result<()> {
        let text = match &self.text {
            Some(text) => text.clone(),
            None => shared("data/tinystories-sample/tinystories_200k.txt")?,
        };
        let bench = StreamBench {
            model: self.model.choice()?,
            text,
            tokens: self.tokens,
            window: self.window,
            sinks: self.sinks,
            slice: self.slice,
        };
        let line = Line::new();
        let report = bench
            .run(commit(), &command(), &|progress| line.show(progress))
            .map_err(|error| error.to_string())?;
        drop(line);
        self.show.report(&report)
    }
}
