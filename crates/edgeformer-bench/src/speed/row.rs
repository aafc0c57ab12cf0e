use std::fmt;

use serde::{Deserialize, Serialize};

use edgeformer_core::CacheFormat;

use super::Case;
use crate::Spread;

/// One line of the benchmark: one model, one case, one number of threads, beside one peer.
///
/// What was not measured is `None` (`null` in JSON), never 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The model's name: its file's, without the format that `make-model` writes behind it.
    pub model: String,
    /// Format of most of its weights: `q4_0`, `q4_k_m`, …
    pub format: String,
    /// Bytes of its files.
    pub model_bytes: u64,
    /// What was timed.
    pub case: Case,
    /// Threads that computed.
    pub threads: usize,
    /// Tokens that the session had room for.
    pub context: usize,
    /// Tokens of a step while a prompt is read; older reports do not say it.
    #[serde(default = "chunk_of_older_reports")]
    pub chunk: usize,
    /// Format of cached keys.
    pub cache_type_k: CacheFormat,
    /// Format of cached values.
    pub cache_type_v: CacheFormat,
    /// Tokens a second, the median of all runs.
    pub tokens_per_second: f64,
    /// Tokens a second: median, least, most and count of runs.
    pub spread: Spread,
    /// Who ran interleaved with it, for example `llama.cpp`.
    pub peer: Option<String>,
    /// The peer's tokens a second, the median of its runs.
    pub peer_tokens_per_second: Option<f64>,
    /// The peer's tokens a second: median, least, most and count of runs.
    pub peer_spread: Option<Spread>,
    /// Tokens a second as a multiple of the peer's in the same round: the median over rounds.
    pub ratio: Option<f64>,
    /// Why there are no figures of the peer.
    pub peer_problem: Option<String>,
    /// What bounds the case on this machine.
    pub limit: Option<Limit>,
    /// What share of that limit was reached, 0 to 1.
    pub share_of_limit: Option<f64>,
    /// What share of it the peer reached.
    pub peer_share_of_limit: Option<f64>,
    /// The most memory that the process had resident: the median of all runs.
    pub peak_rss_bytes: Option<u64>,
    /// The peer's.
    pub peer_peak_rss_bytes: Option<u64>,
    /// Seconds from opening the file to a model that is ready, median.
    pub load_seconds: f64,
    /// The peer's.
    pub peer_load_seconds: Option<f64>,
    /// Seconds from opening the file to the scores behind a prompt of one token, median.
    pub time_to_first_token: f64,
    /// The peer's.
    pub peer_time_to_first_token: Option<f64>,
    /// Energy that the machine's counters saw while the clock ran, joules, median; `None` where
    /// there are no counters that may be read.
    pub energy_joules: Option<f64>,
    /// The peer's.
    pub peer_energy_joules: Option<f64>,
}

/// What bounds a case on a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// What it is, for example `int8 paired maddubs` or `read bandwidth`.
    pub name: String,
    /// How much the machine does of it, with as many threads as the row has.
    pub value: f64,
    /// Of what: `Gop/s` or `GB/s`.
    pub unit: String,
}

/// A case that has no figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The model's name.
    pub model: String,
    /// Format of most of its weights.
    pub format: String,
    /// What was to be timed.
    pub case: Case,
    /// Threads that were to compute.
    pub threads: usize,
    /// Why there are none.
    pub problem: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, format, case, threads, problem } = self;
        write!(f, "{model} {format} {case}, {threads} threads: {problem}")
    }
}

fn chunk_of_older_reports() -> usize {
    512
}

#[cfg(test)]
impl Row {
    /// A row for tests.
    pub(crate) fn made_up() -> Self {
        let spread = |values: &[f64]| Spread::of(values).expect("there are values");
        Self {
            model: "toy".into(),
            format: "q4_0".into(),
            model_bytes: 1 << 20,
            case: Case::Prefill { tokens: 512, depth: 0 },
            threads: 2,
            context: 512,
            chunk: 512,
            cache_type_k: CacheFormat::F16,
            cache_type_v: CacheFormat::F16,
            tokens_per_second: 200.0,
            spread: spread(&[190.0, 200.0, 210.0]),
            peer: Some("llama.cpp".into()),
            peer_tokens_per_second: Some(100.0),
            peer_spread: Some(spread(&[99.0, 100.0, 104.0])),
            ratio: Some(2.0),
            peer_problem: None,
            limit: Some(Limit { name: "beads".into(), value: 500.0, unit: "Gop/s".into() }),
            share_of_limit: Some(0.62),
            peer_share_of_limit: Some(0.31),
            peak_rss_bytes: Some(3 << 20),
            peer_peak_rss_bytes: Some(6 << 20),
            load_seconds: 0.25,
            peer_load_seconds: Some(0.5),
            time_to_first_token: 0.5,
            peer_time_to_first_token: Some(1.0),
            energy_joules: None,
            peer_energy_joules: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_flat_objects_and_come_back() {
        let row = Row::made_up();
        let text = serde_json::to_value(&row).unwrap();
        assert_eq!(text["case"], "pp512");
        assert_eq!(text["cache_type_k"], "f16");
        assert_eq!(text["energy_joules"], serde_json::Value::Null);
        assert_eq!(serde_json::from_value::<Row>(text).unwrap(), row);
    }
}
