//! Sends queries until the rules are kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Rules, Scenario};
use crate::{Error, Progress, Result};

/// Samples that are handed over together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// The number of the first sample: no sample comes twice in a run.
    pub first: usize,
    /// How many there are.
    pub samples: usize,
}

/// How a query was answered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Seconds from handing the query over to the end of its last sample.
    pub seconds: f64,
    /// Seconds to the first token of its first sample.
    pub first_token: f64,
    /// Tokens that were written.
    pub tokens: usize,
}

/// What answers queries.
pub trait SystemUnderTest {
    /// Answers a query and says how long that took.
    ///
    /// # Errors
    /// If it cannot: the run ends.
    fn answer(&mut self, query: Query) -> Result<Answer>;
}

/// What was sent and answered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Log {
    /// Every query that counts, in order.
    pub answers: Vec<Answer>,
    /// Samples in all.
    pub samples: usize,
    /// Seconds in all.
    pub seconds: f64,
}

/// Samples that are answered before anything counts.
const WARM_UP: usize = 2;

/// How often a single query that ended too early is repeated, larger.
const ATTEMPTS: usize = 4;

/// By how much more samples are sent than the rate asks for: machines slow down.
const MARGIN: f64 = 1.1;

/// Sends queries until the rules are kept, or until it is time to give up.
///
/// # Errors
/// If the system under test cannot answer.
pub fn drive(
    rules: &Rules,
    system: &mut dyn SystemUnderTest,
    progress: &dyn Fn(Progress<'_>),
) -> Result<Log> {
    let mut next = 0;
    for _ in 0..WARM_UP {
        send(system, &mut next, 1)?;
    }
    match rules.scenario.samples_per_query() {
        Some(samples) => stream(rules, samples, system, &mut next, progress),
        None => offline(rules, system, &mut next, progress),
    }
}

fn send(system: &mut dyn SystemUnderTest, next: &mut usize, samples: usize) -> Result<Answer> {
    let query = Query { first: *next, samples };
    *next += samples;
    let answer = system.answer(query)?;
    match answer.seconds.is_finite() && answer.seconds >= 0.0 {
        true => Ok(answer),
        false => Err(Error::Request(format!("a query took {} seconds", answer.seconds))),
    }
}

/// Each query when the one before is done.
fn stream(
    rules: &Rules,
    samples: usize,
    system: &mut dyn SystemUnderTest,
    next: &mut usize,
    progress: &dyn Fn(Progress<'_>),
) -> Result<Log> {
    let mut log = Log::default();
    while !rules.are_kept(log.seconds, log.answers.len()) && !rules.give_up(log.seconds) {
        let answer = send(system, next, samples)?;
        log.seconds += answer.seconds;
        log.samples += samples;
        log.answers.push(answer);
        rules.tell(log.seconds, log.answers.len(), progress);
    }
    Ok(log)
}

/// One query of all samples, as many as fill the duration. Where it ended too early, another one
/// of more.
fn offline(
    rules: &Rules,
    system: &mut dyn SystemUnderTest,
    next: &mut usize,
    progress: &dyn Fn(Progress<'_>),
) -> Result<Log> {
    // A small query tells about how fast the system is.
    let trial = Scenario::MultiStream.samples_per_query().unwrap_or(1);
    let mut answer = send(system, next, trial)?;
    let mut samples = trial;
    let mut spent = answer.seconds;
    let mut log = Log::default();
    for attempt in 0..ATTEMPTS {
        rules.tell(spent, attempt, progress);
        let rate = samples as f64 / answer.seconds.max(1e-9);
        let wanted = |duration: Duration| (rate * duration.as_secs_f64() * MARGIN).ceil() as usize;
        let most = rules.max_duration.map_or(usize::MAX, |most| wanted(most).max(1));
        samples = wanted(rules.min_duration).max(rules.min_queries).max(samples + 1).min(most);
        answer = send(system, next, samples)?;
        spent += answer.seconds;
        log = Log { answers: vec![answer], samples, seconds: answer.seconds };
        if rules.are_kept(log.seconds, log.samples) || rules.give_up(spent) {
            break;
        }
    }
    Ok(log)
}

impl Rules {
    /// Whether a run of this length, of so many queries (offline: samples), is valid.
    pub fn are_kept(&self, seconds: f64, queries: usize) -> bool {
        self.problems(seconds, queries).is_empty()
    }

    /// What a run lacks, a line each.
    pub fn problems(&self, seconds: f64, queries: usize) -> Vec<String> {
        let mut problems = Vec::new();
        let least = self.min_duration.as_secs_f64();
        if seconds < least {
            problems.push(format!("it lasted {seconds:.1} s, at least {least} s are demanded"));
        }
        let unit = if self.scenario == Scenario::Offline { "samples" } else { "queries" };
        if queries < self.min_queries {
            let least = self.min_queries;
            problems.push(format!("it had {queries} {unit}, at least {least} are demanded"));
        }
        let early = self.scenario.least();
        if self.scenario.percentile().is_some() && queries < early {
            problems.push(format!("early stopping needs {early} {unit}, it had {queries}"));
        }
        problems
    }

    fn give_up(&self, seconds: f64) -> bool {
        self.max_duration.is_some_and(|most| seconds >= most.as_secs_f64())
    }

    /// How far a run is: as far as the rule that takes longest.
    fn tell(&self, seconds: f64, queries: usize, progress: &dyn Fn(Progress<'_>)) {
        const TOTAL: usize = 1000;
        let share = |done: f64, all: f64| if all > 0.0 { (done / all).min(1.0) } else { 1.0 };
        let by_time = share(seconds, self.min_duration.as_secs_f64());
        let by_count = match self.scenario {
            Scenario::Offline => 1.0,
            _ => share(queries as f64, self.min_queries as f64),
        };
        let done = (by_time.min(by_count) * TOTAL as f64) as usize;
        progress(Progress { done, total: TOTAL, what: self.scenario.name() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A system that takes a fixed time a sample, and slows down by a share each query.
    struct Clockwork {
        seconds_per_sample: f64,
        slowing: f64,
        queries: Vec<Query>,
    }

    impl Clockwork {
        fn new(seconds_per_sample: f64) -> Self {
            Self { seconds_per_sample, slowing: 0.0, queries: Vec::new() }
        }
    }

    impl SystemUnderTest for Clockwork {
        fn answer(&mut self, query: Query) -> Result<Answer> {
            self.queries.push(query);
            let seconds = query.samples as f64 * self.seconds_per_sample;
            self.seconds_per_sample *= 1.0 + self.slowing;
            Ok(Answer { seconds, first_token: seconds / 2.0, tokens: query.samples })
        }
    }

    fn rules(scenario: Scenario, seconds: u64) -> Rules {
        Rules::new(scenario, Duration::from_secs(seconds))
    }

    fn run(rules: &Rules, system: &mut Clockwork) -> Log {
        drive(rules, system, &|_| {}).unwrap()
    }

    #[test]
    fn streams_end_when_time_and_number_are_enough() {
        let slow = run(&rules(Scenario::SingleStream, 60), &mut Clockwork::new(2.0));
        assert_eq!((slow.answers.len(), slow.samples), (64, 64));
        let fast = run(&rules(Scenario::SingleStream, 60), &mut Clockwork::new(0.5));
        assert_eq!((fast.answers.len(), fast.seconds), (120, 60.0));
        let eight = run(&rules(Scenario::MultiStream, 1), &mut Clockwork::new(0.125));
        assert_eq!((eight.answers.len(), eight.samples), (662, 662 * 8));
    }

    #[test]
    fn offline_is_one_query_that_lasts() {
        let mut system = Clockwork::new(0.25);
        let log = run(&rules(Scenario::Offline, 60), &mut system);
        assert_eq!((log.answers.len(), log.samples), (1, 264));
        assert_eq!(log.seconds, 66.0);
        // Faster than the trial said: a second query is larger.
        let mut quickening = Clockwork { slowing: -0.4, ..Clockwork::new(0.25) };
        let log = run(&rules(Scenario::Offline, 60), &mut quickening);
        assert!(log.answers.len() == 1 && log.seconds < 60.0, "it quickens each time: {log:?}");
        assert_eq!(quickening.queries.len(), WARM_UP + 1 + ATTEMPTS);
    }

    #[test]
    fn runs_that_were_given_up_say_what_they_lack() {
        for scenario in Scenario::ALL {
            let rules =
                Rules { max_duration: Some(Duration::from_secs(20)), ..rules(scenario, 600) };
            let log = run(&rules, &mut Clockwork::new(1.0));
            assert!(log.seconds >= 20.0 && log.seconds < 40.0, "{scenario}: {log:?}");
            let problems = rules.problems(log.seconds, log.answers.len());
            assert!(problems[0].contains("600 s are demanded"), "{problems:?}");
            assert_eq!(problems.len(), if scenario == Scenario::Offline { 2 } else { 3 });
        }
    }

    proptest! {
        #[test]
        fn no_sample_comes_twice(seconds in 0.01..3.0f64, scenario in 0..3usize) {
            let mut system = Clockwork::new(seconds);
            let log = run(&rules(Scenario::ALL[scenario], 5), &mut system);
            let mut next = 0;
            for query in &system.queries {
                prop_assert_eq!(query.first, next);
                next += query.samples;
            }
            prop_assert!(log.seconds >= 5.0);
        }
    }
}
