//! `--scenario`: queries in the style of MLPerf inference.

use std::time::Duration;

use clap::Args;
use edgeformer_bench::ModelChoice;
use edgeformer_bench::scenario::{Rules, SampleShape, Scenario, ScenarioBench, ScenarioReport};

use super::progress::Line;
use super::speed::Speed;
use super::{command, commit, warn_of_packed};
use crate::run::Result;

/// Queries in the style of MLPerf inference.
#[derive(Debug, Clone, Args)]
pub struct ScenarioArguments {
    /// Send queries in the style of MLPerf inference: single-stream (90th percentile of latency),
    /// multi-stream (99th, 8 samples a query) or offline (samples a second)
    #[arg(long, value_name = "NAME")]
    pub scenario: Option<Scenario>,
    /// Seconds that queries come at least; MLPerf demands 600
    #[arg(long, default_value_t = 60, requires = "scenario", value_name = "SECONDS")]
    min_duration: u64,
    /// Seconds after which to give up: the run is invalid then
    #[arg(long, requires = "scenario", value_name = "SECONDS")]
    max_duration: Option<u64>,
    /// Queries (offline: samples) at least [default: 64, multi-stream 662, as early stopping needs]
    #[arg(long, requires = "scenario", value_name = "COUNT")]
    min_queries: Option<usize>,
    /// Tokens of a sample's prompt
    #[arg(long, default_value_t = 128, requires = "scenario", value_name = "COUNT")]
    prompt_tokens: usize,
    /// Tokens of a sample's answer
    #[arg(long, default_value_t = 32, requires = "scenario", value_name = "COUNT")]
    answer_tokens: usize,
}

impl ScenarioArguments {
    /// Runs a scenario with each model; a run that is invalid fails once all have been shown.
    pub fn run(&self, scenario: Scenario, speed: &Speed) -> Result<()> {
        let threads = speed.threads.iter().max().copied();
        let mut invalid = Vec::new();
        for model in speed.models()? {
            warn_of_packed(&model.path);
            let choice = ModelChoice { path: model.path, threads };
            let report = self.measure(scenario, choice)?;
            match speed.show.json {
                true => println!(
                    "{}",
                    serde_json::to_string(&report).map_err(|error| error.to_string())?
                ),
                false => print!("{}", report.to_markdown()),
            }
            if !report.is_valid() {
                invalid.push(format!("{}: {}", report.model.name, report.problems.join("; ")));
            }
        }
        match invalid.is_empty() {
            true => Ok(()),
            false => Err(format!("invalid: {}", invalid.join("\n"))),
        }
    }

    fn measure(&self, scenario: Scenario, model: ModelChoice) -> Result<ScenarioReport> {
        let rules = Rules {
            min_queries: self.min_queries.unwrap_or(scenario.least()),
            max_duration: self.max_duration.map(Duration::from_secs),
            ..Rules::new(scenario, Duration::from_secs(self.min_duration))
        };
        let shape = SampleShape { prompt: self.prompt_tokens, answer: self.answer_tokens };
        let bench = ScenarioBench { model, rules, shape };
        let line = Line::new();
        let report = bench
            .run(commit(), &command(), &|progress| line.show(progress))
            .map_err(|error| error.to_string())?;
        drop(line);
        Ok(report)
    }
}
