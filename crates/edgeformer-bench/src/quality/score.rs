//! Two distributions over the next token, compared.

use serde::{Deserialize, Serialize};

use crate::spread::quantile;
use crate::{Error, Result};

/// How close a session stays to the one it is compared with. Divergences are in nats, over the
/// whole vocabulary, in double precision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Tokens that were scored.
    pub tokens: usize,
    /// Perplexity of the session under test.
    pub perplexity: f64,
    /// Perplexity of the one it is compared with.
    pub baseline_perplexity: f64,
    /// Kullback-Leibler divergence from the baseline, mean over the tokens.
    pub divergence: f64,
    /// The divergence that 99 % of the tokens stay below.
    pub divergence_p99: f64,
    /// Share of the tokens at which both hold the same token for the likeliest.
    pub same_top: f64,
}

impl Quality {
    /// Perplexity as a multiple of the baseline's.
    pub fn perplexity_ratio(&self) -> f64 {
        self.perplexity / self.baseline_perplexity
    }
}

/// Sums up tokens.
#[derive(Debug, Default)]
pub struct Scores {
    divergences: Vec<f64>,
    surprise: f64,
    baseline_surprise: f64,
    same: usize,
}

impl Scores {
    /// Takes the logits of both sessions before `next`.
    ///
    /// # Errors
    /// If a logit is no number or infinite, or `next` is outside the vocabulary.
    pub fn add(&mut self, baseline: &[f32], candidate: &[f32], next: u32) -> Result<()> {
        let (p, q) = (LogSoftmax::of(baseline)?, LogSoftmax::of(candidate)?);
        let divergence: f64 = (0..baseline.len().min(candidate.len()))
            .map(|token| (p.at(token), q.at(token)))
            .map(|(log_p, log_q)| log_p.exp() * (log_p - log_q))
            .sum();
        // A sum of rounded terms can end a hair below what no divergence is below.
        self.divergences.push(divergence.max(0.0));
        self.baseline_surprise -= p.of_token(next)?;
        self.surprise -= q.of_token(next)?;
        self.same += usize::from(p.top == q.top);
        Ok(())
    }

    /// The comparison.
    ///
    /// # Errors
    /// If nothing was scored.
    pub fn finish(&self) -> Result<Quality> {
        let tokens = self.divergences.len();
        let nothing = || Error::Request("no token was scored".into());
        let divergence_p99 = quantile(&self.divergences, 0.99).ok_or_else(nothing)?;
        let mean = |sum: f64| sum / tokens as f64;
        Ok(Quality {
            tokens,
            perplexity: mean(self.surprise).exp(),
            baseline_perplexity: mean(self.baseline_surprise).exp(),
            divergence: mean(self.divergences.iter().sum()),
            divergence_p99,
            same_top: mean(self.same as f64),
        })
    }
}

/// What a model says of the next token.
pub(crate) struct LogSoftmax<'a> {
    logits: &'a [f32],
    /// Logarithm of the sum of all exponentials.
    normal: f64,
    /// The likeliest token, the first of equals.
    top: usize,
}

impl<'a> LogSoftmax<'a> {
    pub fn of(logits: &'a [f32]) -> Result<Self> {
        if let Some(wrong) = logits.iter().find(|logit| !logit.is_finite()) {
            return Err(Error::Request(format!("the model computes nonsense: a logit is {wrong}")));
        }
        let better = |best: usize, token: usize| {
            if logits[token] > logits[best] { token } else { best }
        };
        let empty = || Error::Request("there are no logits to score".into());
        let top = (0..logits.len()).reduce(better).ok_or_else(empty)?;
        let most = f64::from(logits[top]);
        let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - most).exp()).sum();
        Ok(Self { logits, normal: most + sum.ln(), top })
    }

    fn at(&self, token: usize) -> f64 {
        f64::from(self.logits[token]) - self.normal
    }

    /// Logarithm of the probability of a token.
    pub fn of_token(&self, token: u32) -> Result<f64> {
        let vocabulary = self.logits.len();
        if token as usize >= vocabulary {
            return Err(edgeformer_core::Error::Token { token, vocabulary }.into());
        }
        Ok(self.at(token as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn score(baseline: &[f32], candidate: &[f32], next: u32) -> Quality {
        let mut scores = Scores::default();
        scores.add(baseline, candidate, next).unwrap();
        scores.finish().unwrap()
    }

    #[test]
    fn made_up_logits_have_the_values_of_pencil_and_paper() {
        // p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4): the divergence is ln 2 / 4.
        let logs = |p: [f32; 3]| p.map(f32::ln);
        let quality = score(&logs([0.5, 0.25, 0.25]), &logs([0.25, 0.5, 0.25]), 0);
        assert!((quality.divergence - 2f64.ln() / 4.0).abs() < 1e-7, "{quality:?}");
        assert!((quality.baseline_perplexity - 2.0).abs() < 1e-6, "{quality:?}");
        assert!((quality.perplexity - 4.0).abs() < 1e-6, "{quality:?}");
        assert!((quality.perplexity_ratio() - 2.0).abs() < 1e-6, "{quality:?}");
        assert_eq!(quality.same_top, 0.0);
    }

    #[test]
    fn a_uniform_distribution_is_as_perplexed_as_its_vocabulary() {
        let quality = score(&[7.5; 64], &[-3.0; 64], 63);
        assert!((quality.perplexity - 64.0).abs() < 1e-9, "{quality:?}");
        assert!(quality.divergence < 1e-12 && quality.same_top == 1.0, "{quality:?}");
    }

    #[test]
    fn means_go_over_all_tokens() {
        let mut scores = Scores::default();
        scores.add(&[0.0, 0.0], &[0.0, 0.0], 0).unwrap();
        scores.add(&[0.0, 0.0], &[0.0, 5.0], 1).unwrap();
        let quality = scores.finish().unwrap();
        let one = score(&[0.0, 0.0], &[0.0, 5.0], 1).divergence;
        assert_eq!((quality.tokens, quality.same_top), (2, 0.5));
        assert!((quality.divergence - one / 2.0).abs() < 1e-12);
        assert_eq!(quality.divergence_p99, one);
    }

    #[test]
    fn nonsense_is_refused() {
        let mut scores = Scores::default();
        let error = scores.add(&[0.0, f32::NAN], &[0.0, 0.0], 0).unwrap_err().to_string();
        assert!(error.contains("NaN"), "{error}");
        assert!(scores.add(&[0.0], &[f32::INFINITY], 0).is_err());
        assert!(scores.add(&[0.0], &[0.0], 1).is_err());
        assert!(Scores::default().finish().is_err());
    }

    proptest! {
        #[test]
        fn no_distribution_diverges_from_itself_even_shifted(
            logits in prop::collection::vec(-40.0..40.0f32, 1..50), shift in -8i8..8,
        ) {
            // Halves are added exactly where the logits are multiples of a coarse step.
            let coarse: Vec<f32> = logits.iter().map(|logit| (logit * 64.0).round() / 64.0).collect();
            let shifted: Vec<f32> = coarse.iter().map(|logit| logit + f32::from(shift)).collect();
            let quality = score(&coarse, &shifted, 0);
            prop_assert!(quality.divergence < 1e-10, "{quality:?}");
            prop_assert!((quality.perplexity_ratio() - 1.0).abs() < 1e-10, "{quality:?}");
            prop_assert_eq!(quality.same_top, 1.0);
        }

        #[test]
        fn divergences_are_those_of_probabilities_summed_plainly(
            pairs in prop::collection::vec((-5.0..5.0f32, -5.0..5.0f32), 2..30),
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let plain = |logits: &[f32]| {
                let exps: Vec<f64> = logits.iter().map(|&logit| f64::from(logit).exp()).collect();
                let sum: f64 = exps.iter().sum();
                exps.iter().map(|exp| exp / sum).collect::<Vec<f64>>()
            };
            let (p, q) = (plain(&a), plain(&b));
            let expected: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
            prop_assert!((score(&a, &b, 1).divergence - expected).abs() < 1e-9);
        }
    }
}
