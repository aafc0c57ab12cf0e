use std::fmt::Write;

use edgeformer::evaluate::quantile;
use serde::{Deserialize, Serialize};

use super::{EngineUnderTest, Estimate, Log, Rules, SampleShape, drive, estimate};
use crate::output::{Table, short};
use crate::subject::{ModelRecord, Subject};
use crate::{Machine, ModelChoice, Progress, Result, Spread};

/// A scenario to run.
#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioBench {
    /// The model.
    pub model: ModelChoice,
    /// What makes a run valid.
    pub rules: Rules,
    /// What a sample is.
    pub shape: SampleShape,
}

/// What came of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioReport {
    /// On what it was measured.
    pub machine: Machine,
    /// What was called.
    pub command: String,
    /// The model.
    pub model: ModelRecord,
    /// What makes a run valid.
    pub rules: Rules,
    /// What a sample is.
    pub shape: SampleShape,
    /// Queries that counted.
    pub queries: usize,
    /// Samples that counted.
    pub samples: usize,
    /// Seconds that they took.
    pub seconds: f64,
    /// Samples a second.
    pub samples_per_second: f64,
    /// Tokens of answers a second.
    pub tokens_per_second: f64,
    /// How long queries took, where that counts.
    pub latency: Option<Latency>,
    /// What makes the run invalid, a line each.
    pub problems: Vec<String>,
}

/// How long queries took, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Of a query.
    pub query: Spread,
    /// To the first token of a query.
    pub first_token: Spread,
    /// The percentile that counts, 0 to 1.
    pub percentile: f64,
    /// That percentile of what was measured.
    pub at_percentile: f64,
    /// What the percentile is at most, with 99 % confidence: the result. `None` of too few
    /// queries.
    pub early_stopping: Option<Estimate>,
}

impl ScenarioBench {
    /// Runs the scenario. `commit` is what was built, `command` what was called.
    ///
    /// # Errors
    /// If the model cannot be opened, or does not answer.
    pub fn run(
        &self,
        commit: Option<String>,
        command: &str,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<ScenarioReport> {
        let (machine, model) = {
            let subject = Subject::open(&self.model, false)?;
            (Machine::here(&subject.device, commit), subject.record(&self.model))
        };
        let mut engine = EngineUnderTest::open(&self.model, self.rules.scenario, self.shape)?;
        let log = drive(&self.rules, &mut engine, progress)?;
        Ok(self.report(machine, command, model, &log))
    }

    fn report(
        &self,
        machine: Machine,
        command: &str,
        model: ModelRecord,
        log: &Log,
    ) -> ScenarioReport {
        let tokens: usize = log.answers.iter().map(|answer| answer.tokens).sum();
        // No clock is so fine that a run takes none of it.
        let rate = |count: usize| count as f64 / log.seconds.max(1e-9);
        let counted = match self.rules.scenario.samples_per_query() {
            Some(_) => log.answers.len(),
            None => log.samples,
        };
        ScenarioReport {
            machine,
            command: command.into(),
            model,
            rules: self.rules,
            shape: self.shape,
            queries: log.answers.len(),
            samples: log.samples,
            seconds: log.seconds,
            samples_per_second: rate(log.samples),
            tokens_per_second: rate(tokens),
            latency: self.rules.scenario.percentile().and_then(|at| Latency::of(log, at)),
            problems: self.rules.problems(log.seconds, counted),
        }
    }
}

impl Latency {
    fn of(log: &Log, percentile: f64) -> Option<Self> {
        let queries: Vec<f64> = log.answers.iter().map(|answer| answer.seconds).collect();
        let first: Vec<f64> = log.answers.iter().map(|answer| answer.first_token).collect();
        Some(Self {
            query: Spread::of(&queries)?,
            first_token: Spread::of(&first)?,
            percentile,
            at_percentile: quantile(&queries, percentile)?,
            early_stopping: estimate(&queries, percentile),
        })
    }
}

impl ScenarioReport {
    /// Whether the rules were kept.
    pub fn is_valid(&self) -> bool {
        self.problems.is_empty()
    }

    /// The result, how it came about, and whether it counts.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("{}\n\n{}\n\n", self.machine.to_line(), self.model.to_line());
        writeln!(
            text,
            "`{}`: {}, samples of {} prompt tokens and {} answer tokens. In the style of MLPerf; \
             no result of MLPerf.\n",
            self.command, self.rules.scenario, self.shape.prompt, self.shape.answer
        )
        .expect("a string takes what it is given");
        text += &self.table().to_markdown();
        let verdict = match self.problems.as_slice() {
            [] => "valid".to_owned(),
            problems => format!("INVALID: {}", problems.join("; ")),
        };
        text + &format!("\nThe run is {verdict}.\n")
    }

    fn table(&self) -> Table {
        let mut table = Table::new(["figure", "value"]);
        let seconds = |value: f64| format!("{} s", short(value));
        if let Some(latency) = &self.latency {
            let percent = (latency.percentile * 100.0).round();
            let estimate = latency.early_stopping.map_or("too few queries".into(), |found| {
                format!("{} ({} queries above)", seconds(found.value), found.discarded)
            });
            table.row([format!("{percent}th percentile, early stopping estimate"), estimate]);
            table.row([
                format!("{percent}th percentile, as measured"),
                seconds(latency.at_percentile),
            ]);
            let spread = |spread: &Spread| {
                let [median, least, most] = [spread.median, spread.least, spread.most].map(seconds);
                format!("{median} ({least} to {most})")
            };
            table.row(["query, median (least to most)".to_owned(), spread(&latency.query)]);
            table.row(["to the first token".to_owned(), spread(&latency.first_token)]);
        }
        table.row(["samples a second".to_owned(), short(self.samples_per_second)]);
        table.row(["answer tokens a second".to_owned(), short(self.tokens_per_second)]);
        table.row(["queries".to_owned(), self.queries.to_string()]);
        table.row(["samples".to_owned(), self.samples.to_string()]);
        table.row(["duration".to_owned(), seconds(self.seconds)]);
        table
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scenario::{Answer, Scenario};

    fn report(scenario: Scenario, queries: usize) -> ScenarioReport {
        let model = ModelChoice { path: "toy.gguf".into(), threads: None };
        let rules = Rules::new(scenario, Duration::from_secs(10));
        let shape = SampleShape { prompt: 16, answer: 4 };
        let answer = |index: usize| {
            // Powers of two: they come back from JSON to the last bit.
            let seconds = 0.5 + index as f64 / 1024.0;
            Answer { seconds, first_token: seconds / 4.0, tokens: 4 }
        };
        let answers: Vec<Answer> = (0..queries).map(answer).collect();
        let seconds = answers.iter().map(|answer| answer.seconds).sum();
        let log = Log { samples: queries, seconds, answers };
        let bench = ScenarioBench { model, rules, shape };
        bench.report(Machine::made_up(), "cargo xtask bench", ModelRecord::made_up(), &log)
    }

    #[test]
    fn results_are_told_with_what_they_are_worth() {
        let valid = report(Scenario::SingleStream, 100);
        assert!(valid.is_valid(), "{:?}", valid.problems);
        insta::assert_snapshot!(valid.to_markdown());
        let short = report(Scenario::MultiStream, 10);
        assert!(!short.is_valid());
        assert!(
            short.to_markdown().contains("INVALID: it lasted 5.0 s"),
            "{}",
            short.to_markdown()
        );
        let offline = report(Scenario::Offline, 1);
        assert!(offline.latency.is_none() && !offline.to_markdown().contains("percentile"));
    }

    #[test]
    fn reports_come_back_from_json() {
        let report = report(Scenario::SingleStream, 100);
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<ScenarioReport>(&text).unwrap(), report);
    }
}
