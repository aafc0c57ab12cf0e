//! One run of one case by one engine, in a process of its own.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::Case;
use crate::Result;
use crate::cache::any_tokens;
use crate::energy::EnergyMeter;
use crate::peers::{Engine, Runner, Setup};

/// Tokens of a prompt that is read before the clock starts: makes pages resident, starts threads,
/// lets engines plan their memory.
const WARM_UP: usize = 32;

/// Measures one case once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseJob {
    /// The engine's name.
    pub engine: String,
    /// The model, and how it is run.
    pub setup: Setup,
    /// What is timed.
    pub case: Case,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CaseRun {
    /// Tokens a second.
    pub tokens_per_second: f64,
    /// Seconds from opening the file to a model that is ready.
    pub load_seconds: f64,
    /// Seconds from opening the file to the scores behind a prompt of one token.
    pub time_to_first_token: f64,
    /// The most memory that the process had resident, where the system tells.
    pub peak_rss_bytes: Option<u64>,
    /// Joules while the clock ran, where the machine tells.
    pub energy_joules: Option<f64>,
}

impl CaseJob {
    /// Measures in this process.
    ///
    /// # Errors
    /// If there is no such engine, or it refuses the model or a step.
    pub fn run(&self) -> Result<CaseRun> {
        let engine = Engine::named(&self.engine)?;
        let mut result = None;
        let start = Instant::now();
        engine.run(&self.setup, &mut |runner| {
            let load_seconds = seconds(start);
            let tokens = any_tokens(runner.vocabulary(), self.case.context());
            runner.read(&tokens[..1])?;
            let time_to_first_token = seconds(start);
            let (seconds, energy_joules) = timed(runner, self.case, &tokens)?;
            result = Some(CaseRun {
                tokens_per_second: self.case.tokens() as f64 / seconds,
                load_seconds,
                time_to_first_token,
                peak_rss_bytes: edgeformer::peak_resident_bytes(),
                energy_joules,
            });
            Ok(())
        })?;
        Ok(result.expect("an engine that succeeds has called back"))
    }
}

/// Seconds that the case took, and joules.
fn timed(runner: &mut dyn Runner, case: Case, tokens: &[u32]) -> Result<(f64, Option<f64>)> {
    runner.clear()?;
    runner.read(&tokens[..WARM_UP.min(tokens.len())])?;
    runner.clear()?;
    let (context, timed) = tokens.split_at(case.depth());
    if !context.is_empty() {
        runner.read(context)?;
    }
    let (prompt, answer) = timed.split_at(case.prompt());
    let meter = EnergyMeter::start();
    let start = Instant::now();
    if !prompt.is_empty() {
        runner.read(prompt)?;
    }
    for token in answer.chunks(1) {
        runner.read(token)?;
    }
    let seconds = seconds(start);
    Ok((seconds, meter.joules()))
}

fn seconds(since: Instant) -> f64 {
    // No clock is so fine that a step takes none of it, and no figure is worth a division by zero.
    since.elapsed().as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers what it was asked to read.
    #[derive(Default)]
    struct Recorder {
        reads: Vec<usize>,
        cached: usize,
    }

    impl Runner for Recorder {
        fn vocabulary(&self) -> usize {
            11
        }

        fn clear(&mut self) -> Result<()> {
            self.cached = 0;
            self.reads.clear();
            Ok(())
        }

        fn read(&mut self, tokens: &[u32]) -> Result<()> {
            assert!(!tokens.is_empty() && tokens.iter().all(|&token| token < 11));
            self.reads.push(tokens.len());
            self.cached += tokens.len();
            Ok(())
        }
    }

    #[test]
    fn cases_read_what_they_say() {
        for (case, reads) in [
            ("pp7", &[7][..]),
            ("pp7@d5", &[5, 7]),
            ("tg3", &[1, 1, 1]),
            ("tg2@d40", &[40, 1, 1]),
            ("pp4+tg2", &[4, 1, 1]),
        ] {
            let case: Case = case.parse().unwrap();
            let mut recorder = Recorder::default();
            let tokens = any_tokens(11, case.context());
            let (seconds, _) = timed(&mut recorder, case, &tokens).unwrap();
            assert!(seconds > 0.0);
            assert_eq!(recorder.reads, reads, "{case}");
            assert_eq!(recorder.cached, case.context());
        }
    }
}
