//! The figures of the table.

use serde::{Deserialize, Serialize};

use super::{Configuration, Speed};
use crate::output::Report;
use crate::subject::ModelRecord;
use crate::{Machine, Quality, Result, Spread};

/// Ways to keep the past, compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheReport {
    /// On what it was measured.
    pub machine: Machine,
    /// What was called.
    pub command: String,
    /// The model.
    pub model: ModelRecord,
    /// How often speed was measured.
    pub runs: usize,
    /// Tokens that were decoded behind each prompt.
    pub decode_tokens: usize,
    /// Lengths of the prompts.
    pub depths: Vec<usize>,
    /// The texts on which quality was measured.
    pub texts: Vec<TextFacts>,
    /// A row a configuration, the baseline first.
    pub rows: Vec<Row>,
}

/// A text on which quality was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextFacts {
    /// The file's name.
    pub name: String,
    /// Tokens that were read; the second half of each window was scored.
    pub tokens: usize,
    /// Tokens of a window.
    pub window: usize,
}

/// One configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What the table calls it.
    pub name: String,
    /// How the past is kept.
    pub configuration: Configuration,
    /// Speed and memory, a depth each.
    pub depths: Vec<Outcome<DepthFigures>>,
    /// Quality, a text each.
    pub texts: Vec<Outcome<Quality>>,
}

/// What came of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome<T> {
    /// Figures.
    Measured(T),
    /// Why there are none.
    Failed(String),
}

impl<T> Outcome<T> {
    /// The figures, if there are any.
    pub fn measured(&self) -> Option<&T> {
        match self {
            Self::Measured(figures) => Some(figures),
            Self::Failed(_) => None,
        }
    }
}

impl<T> From<Result<T>> for Outcome<T> {
    fn from(result: Result<T>) -> Self {
        result.map_or_else(|error| Self::Failed(error.to_string()), Self::Measured)
    }
}

/// Speed and memory at a depth. Bytes are the median run's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DepthFigures {
    /// Tokens of the prompt.
    pub depth: usize,
    /// Bytes of cache that one more token takes, by the plan.
    pub bytes_per_token: u64,
    /// Bytes of cache that were in memory behind the prompt.
    pub cache_resident: u64,
    /// Bytes of cache in use behind the prompt, wherever they lay.
    pub cache_used: u64,
    /// Bytes that cache pages in memory were held to, if they were.
    pub budget: Option<u64>,
    /// The most memory that the process had resident.
    pub peak_resident: Option<Spread>,
    /// Prompt tokens a second.
    pub prefill: Spread,
    /// The same as a multiple of the baseline's in the same round, median.
    pub prefill_ratio: Option<f64>,
    /// Tokens a second behind the prompt.
    pub decode: Spread,
    /// The same as a multiple of the baseline's in the same round, median.
    pub decode_ratio: Option<f64>,
}

impl DepthFigures {
    /// Of the runs at a depth; `None` of no run.
    pub(super) fn of(depth: usize, runs: &[Speed]) -> Option<Self> {
        let spread =
            |value: fn(&Speed) -> f64| Spread::of(&runs.iter().map(value).collect::<Vec<_>>());
        let peaks: Option<Vec<f64>> =
            runs.iter().map(|run| run.peak_resident.map(|bytes| bytes as f64)).collect();
        Some(Self {
            depth,
            bytes_per_token: runs.first()?.footprint.cache_per_token,
            cache_resident: spread(|run| run.usage.bytes_resident as f64)?.median as u64,
            cache_used: spread(|run| run.usage.bytes_used as f64)?.median as u64,
            budget: runs.first()?.budget,
            peak_resident: peaks.and_then(|peaks| Spread::of(&peaks)),
            prefill: spread(|run| run.prefill)?,
            prefill_ratio: None,
            decode: spread(|run| run.decode)?,
            decode_ratio: None,
        })
    }

    /// Adds the ratios to the baseline, round by round.
    pub(super) fn compare(&mut self, runs: &[Speed], baseline: &[Speed]) {
        let ratio = |value: fn(&Speed) -> f64| {
            let ratios: Vec<f64> =
                runs.iter().zip(baseline).map(|(run, base)| value(run) / value(base)).collect();
            Spread::of(&ratios).map(|ratios| ratios.median)
        };
        self.prefill_ratio = ratio(|run| run.prefill);
        self.decode_ratio = ratio(|run| run.decode);
    }
}

impl Report for CacheReport {
    fn name(&self) -> &'static str {
        "cache"
    }

    fn to_markdown(&self) -> String {
        super::table::markdown(self)
    }

    fn to_png(&self) -> Result<Vec<u8>> {
        super::chart::png(self)
    }
}
