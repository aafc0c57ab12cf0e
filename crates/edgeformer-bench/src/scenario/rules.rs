use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::early_stopping::least_queries;
use crate::{Error, Result};

/// How queries come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// One sample after the other: one person who waits.
    SingleStream,
    /// Eight samples after eight others: a device with several sensors.
    MultiStream,
    /// Everything at once: a batch overnight.
    Offline,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SingleStream, Self::MultiStream, Self::Offline];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleStream => "single-stream",
            Self::MultiStream => "multi-stream",
            Self::Offline => "offline",
        }
    }

    /// Samples of a query; offline there is one query of as many as the duration asks for.
    pub fn samples_per_query(self) -> Option<usize> {
        match self {
            Self::SingleStream => Some(1),
            Self::MultiStream => Some(8),
            Self::Offline => None,
        }
    }

    /// The percentile of latency that counts, if latency does.
    pub fn percentile(self) -> Option<f64> {
        match self {
            Self::SingleStream => Some(0.9),
            Self::MultiStream => Some(0.99),
            Self::Offline => None,
        }
    }

    /// Queries (offline: samples) from which on a run may be valid: what early stopping needs.
    /// Offline the rules name 24,576 samples, or as many as the data set has; here 64.
    pub fn least(self) -> usize {
        self.percentile().map_or(64, least_queries)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scenario {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::Request(format!("unknown scenario {name:?}, known are {known}"))
        })
    }
}

/// What makes a run valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// How queries come.
    pub scenario: Scenario,
    /// How long they come at least. The rules of MLPerf demand ten minutes.
    pub min_duration: Duration,
    /// How many at least (offline: samples).
    pub min_queries: usize,
    /// When to give up, valid or not.
    pub max_duration: Option<Duration>,
}

impl Rules {
    /// MLPerf's duration.
    pub const MLPERF_DURATION: Duration = Duration::from_secs(600);

    /// The rules of a scenario for runs of at least `min_duration`.
    pub fn new(scenario: Scenario, min_duration: Duration) -> Self {
        Self { scenario, min_duration, min_queries: scenario.least(), max_duration: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for scenario in Scenario::ALL {
            assert_eq!(scenario.name().parse::<Scenario>().unwrap(), scenario);
        }
        let error = "server".parse::<Scenario>().unwrap_err().to_string();
        assert!(error.contains("known are single-stream, multi-stream, offline"), "{error}");
    }

    #[test]
    fn latencies_need_as_many_queries_as_early_stopping() {
        assert_eq!(Scenario::ALL.map(Scenario::least), [64, 662, 64]);
    }
}
