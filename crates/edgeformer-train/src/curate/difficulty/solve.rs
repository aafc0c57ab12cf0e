//! Difficulty by trying: how many of several sampled answers are right.

use std::ops::RangeInclusive;

use super::super::judge::{Judge, Watch};
use super::super::ledger::Ledger;
use super::super::reason::Reason;
use super::Check;
use crate::Result;

/// How often a model must be right. LIMO keeps what is solved in 1 to 3 of 32 attempts.
#[derive(Debug, Clone)]
pub struct Solved {
    /// Answers that are sampled.
    pub samples: usize,
    /// How many of them may be right.
    pub right: RangeInclusive<usize>,
    /// When one is.
    pub check: Check,
}

/// Samples answers and drops what is solved too often or too seldom.
///
/// # Errors
/// If the model fails.
pub fn solve(
    ledger: &mut Ledger<'_>,
    options: &Solved,
    seed: u64,
    judge: &mut dyn Judge,
    watch: &Watch<'_>,
) -> Result<()> {
    let remaining = ledger.remaining();
    let of = options.samples;
    for (done, &index) in remaining.iter().enumerate() {
        watch.step("sampling answers", done, remaining.len())?;
        let entry = &ledger.pool().entries[index];
        let Some(expected) = options.check.conclusion(&entry.record.answer()) else {
            ledger.drop(index, Reason::Unchecked);
            continue;
        };
        // A record's samples are the same whatever else is in the pool.
        let seed = seed ^ entry.line.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let verdict = ledger.verdict(index);
        let samples = judge.sample(&verdict.prompt, of, seed)?;
        let solved =
            samples.iter().filter(|sample| options.check.is_right(sample, &expected)).count();
        verdict.scores.solved = Some(solved);
        if solved < *options.right.start() {
            ledger.drop(index, Reason::TooHard { solved, of });
        } else if solved > *options.right.end() {
            ledger.drop(index, Reason::TooEasy { solved, of });
        }
    }
    Ok(())
}
