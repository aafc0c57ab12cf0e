//! What became of each record.

use serde::Serialize;

use super::reason::Reason;
use crate::data::Pool;

/// What was measured of a record; what was not measured is absent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Scores {
    /// Tokens of prompt and answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// Mean loss of an answer's token, in nats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Instruction-following difficulty: perplexity with the question by that without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ifd: Option<f64>,
    /// Sampled answers that were right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solved: Option<usize>,
    /// How the reasoning is written, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// What was measured.
    pub scores: Scores,
    /// Why it was dropped, and at which stage.
    pub dropped: Option<(&'static str, Reason)>,
    /// Its place among the chosen, from 1.
    pub rank: Option<usize>,
    /// What the judge is given and the answer it would learn, once they are made.
    pub(super) prompt: String,
    pub(super) answer: String,
}

/// The records of a pool and what became of them so far.
#[derive(Debug)]
pub(super) struct Ledger<'a> {
    pool: &'a Pool,
    verdicts: Vec<Verdict>,
    stage: &'static str,
}

impl<'a> Ledger<'a> {
    pub fn of(pool: &'a Pool) -> Self {
        Self { pool, verdicts: vec![Verdict::default(); pool.entries.len()], stage: "" }
    }

    pub fn pool(&self) -> &'a Pool {
        self.pool
    }

    /// What is dropped from now on is dropped by this stage.
    pub fn enter(&mut self, stage: &'static str) {
        self.stage = stage;
    }

    /// Records that are not dropped, in the pool's order.
    pub fn remaining(&self) -> Vec<usize> {
        (0..self.verdicts.len()).filter(|&index| self.verdicts[index].dropped.is_none()).collect()
    }

    pub fn drop(&mut self, index: usize, reason: Reason) {
        let stage = self.stage;
        self.verdicts[index].dropped.get_or_insert((stage, reason));
    }

    pub fn verdict(&mut self, index: usize) -> &mut Verdict {
        &mut self.verdicts[index]
    }

    pub fn scores(&self, index: usize) -> &Scores {
        &self.verdicts[index].scores
    }

    pub fn into_verdicts(self) -> Vec<Verdict> {
        self.verdicts
    }
}
