//! How a chain of reasoning is written, by LIMO's rules (Ye et al. 2025, arXiv 2502.03387).
//!
//! Four things are counted: length, and how often words of three kinds come, by length. The paper
//! gives their weights and not their scale; here each is the share of the pool that has less of
//! it, so that a score is from 0 to 1 and none of the four drowns the others.

use super::cues::{CONNECTIVES, EXPLORATION, VERIFICATION};
use super::words::words;
use crate::{Error, Result};

/// What each part of the score is worth. The sum counts as one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Elaboration: the length.
    pub elaboration: f64,
    /// Self-verification: words such as *check*.
    pub verification: f64,
    /// Exploration: words such as *perhaps*.
    pub exploration: f64,
    /// Connectives: words such as *therefore*.
    pub connectives: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { elaboration: 0.3, verification: 0.2, exploration: 0.25, connectives: 0.25 }
    }
}

impl Weights {
    /// Weights in the order elaboration, verification, exploration, connectives.
    ///
    /// # Errors
    /// If one is negative or no number, or all are zero.
    pub fn new(weights: [f64; 4]) -> Result<Self> {
        let sum: f64 = weights.iter().sum();
        if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) || sum <= 0.0 {
            let problem = "weights of quality are four numbers from 0 on, not all of them 0";
            return Err(Error::Request(problem.into()));
        }
        let [elaboration, verification, exploration, connectives] = weights;
        Ok(Self { elaboration, verification, exploration, connectives })
    }

    /// The score of each chain among all of them.
    pub fn scores(&self, chains: &[Chain]) -> Vec<f64> {
        type Part = fn(&Chain) -> f64;
        let parts: [(f64, Part); 4] = [
            (self.elaboration, |chain| chain.words as f64),
            (self.verification, |chain| chain.verification),
            (self.exploration, |chain| chain.exploration),
            (self.connectives, |chain| chain.connectives),
        ];
        let sum: f64 = parts.iter().map(|(weight, _)| weight).sum();
        let mut scores = vec![0.0; chains.len()];
        for (weight, part) in parts {
            let values: Vec<f64> = chains.iter().map(part).collect();
            let shares = shares_below(&values);
            scores.iter_mut().zip(shares).for_each(|(score, share)| *score += weight * share / sum);
        }
        scores
    }
}

/// What is counted of a chain of reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Chain {
    /// Words.
    pub words: usize,
    /// Words of self-verification, by words.
    pub verification: f64,
    /// Words of exploration, by words.
    pub exploration: f64,
    /// Connectives, by words.
    pub connectives: f64,
}

impl Chain {
    /// Counts what an answer has.
    pub fn of(answer: &str) -> Self {
        let words = words(answer);
        let share = |cues: &[&str]| {
            let count: usize = cues.iter().map(|cue| occurrences(&words, cue)).sum();
            count as f64 / words.len().max(1) as f64
        };
        Self {
            words: words.len(),
            verification: share(VERIFICATION),
            exploration: share(EXPLORATION),
            connectives: share(CONNECTIVES),
        }
    }
}

/// How often a cue of one word or more comes.
fn occurrences(words: &[String], cue: &str) -> usize {
    let cue: Vec<&str> = cue.split(' ').collect();
    words.windows(cue.len()).filter(|run| run.iter().eq(cue.iter())).count()
}

/// For each value the share of the others that are less.
fn shares_below(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let others = values.len().saturating_sub(1).max(1) as f64;
    let below = |value: &f64| sorted.partition_point(|other| other < value) as f64 / others;
    values.iter().map(below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cues_are_counted_by_length() {
        let chain = Chain::of("Perhaps it is 4. Let me check: since 2+2 = 4, it might be, so yes!");
        assert_eq!(chain.words, 16);
        let count = |share: f64| (share * 16.0).round() as usize;
        assert_eq!(count(chain.verification), 1);
        assert_eq!(count(chain.exploration), 2);
        assert_eq!(count(chain.connectives), 2);
        assert_eq!(occurrences(&words("make sure; MAKE, sure"), "make sure"), 2);
        assert_eq!(Chain::of(""), Chain::default());
    }

    #[test]
    fn better_reasoning_scores_higher() {
        let short = Chain::of("4");
        let plain = Chain::of("Two and two are four in all ways of counting them.");
        let good = Chain::of(
            "Perhaps we count: two, then two more, therefore four. Let me verify, since it might be wrong: 4.",
        );
        let scores = Weights::default().scores(&[short, plain, good]);
        assert!(scores[0] < scores[1] && scores[1] < scores[2], "{scores:?}");
        assert_eq!(scores[0], 0.0);
        assert!((scores[2] - 1.0).abs() < 1e-12);
        let length = Weights::new([1.0, 0.0, 0.0, 0.0]).unwrap();
        assert_eq!(length.scores(&[good, short, plain]), [1.0, 0.0, 0.5]);
    }

    #[test]
    fn weights_are_of_any_scale() {
        let chains = ["a b", "check it", "so then perhaps"].map(Chain::of);
        let scaled = Weights::new([3.0, 2.0, 2.5, 2.5]).unwrap().scores(&chains);
        let usual = Weights::default().scores(&chains);
        assert!(scaled.iter().zip(&usual).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!(Weights::new([0.0; 4]).is_err() && Weights::new([-1.0, 1.0, 1.0, 1.0]).is_err());
        assert!(Weights::new([f64::NAN, 1.0, 1.0, 1.0]).is_err());
    }

    #[test]
    fn shares_count_what_is_less() {
        assert_eq!(shares_below(&[2.0, 1.0, 2.0]), [0.5, 0.0, 0.5]);
        assert_eq!(shares_below(&[1.0]), [0.0]);
        assert!(shares_below(&[]).is_empty());
    }
}
