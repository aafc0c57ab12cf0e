use clap::Args;
use edgeformer_bench::tune::TuneBench;

use super::progress::Line;
use super::show::Show;
use super::{ModelArguments, command, commit};
use crate::run::Result;

/// What `edgeformer tune` finds, beside every setup there is.
#[derive(Debug, Args)]
pub struct Tune {
    #[command(flatten)]
    model: ModelArguments,
    /// Seconds that tuning may take
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// How often the sweep measures each setup
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Tokens of the sweep's prompts
    #[arg(long, default_value_t = 512)]
    prompt: usize,
    #[command(flatten)]
    show: Show,
}

impl Tune {
    pub fn run(&self) -> Result<()> {
        if !(self.seconds > 0.0 && self.seconds <= 3600.0) || self.rounds == 0 || self.prompt == 0 {
            return Err("--seconds, --rounds and --prompt must be more than 0".into());
        }
        let bench = TuneBench {
            model: self.model.choice()?,
            seconds: self.seconds,
            rounds: self.rounds,
            prompt: self.prompt,
        };
        let line = Line::new();
        let report = bench
            .run(commit(), &command(), &|progress| line.show(progress))
            .map_err(|error| error.to_string())?;
        drop(line);
        self.show.report(&report)
    }
}
