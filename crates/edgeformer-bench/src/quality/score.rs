//! Two distributions over the next token, compared.

use edgeformer::evaluate::{Divergence, quantile};
use serde::{Deserialize, Serialize};

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
    /// What a comparison says.
    ///
    /// # Errors
    /// If nothing was scored.
    pub fn of(all: &Divergence) -> Result<Self> {
        let values: Vec<f64> = all.values.iter().copied().map(f64::from).collect();
        let nothing = || Error::Request("no token was scored".into());
        Ok(Self {
            tokens: values.len(),
            perplexity: all.nll.mean().exp(),
            baseline_perplexity: all.reference_nll.mean().exp(),
            divergence: all.kl.mean(),
            divergence_p99: quantile(&values, 0.99).ok_or_else(nothing)?,
            same_top: all.same_top as f64 / values.len() as f64,
        })
    }

    /// Perplexity as a multiple of the baseline's.
    pub fn perplexity_ratio(&self) -> f64 {
        self.perplexity / self.baseline_perplexity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_go_over_all_tokens() {
        let mut all = Divergence::default();
        all.add(&[0.0, 0.0], &[0.0, 0.0], 0).unwrap();
        all.add(&[0.0, 0.0], &[0.0, 5.0], 1).unwrap();
        let quality = Quality::of(&all).unwrap();
        let one = f64::from(all.values[1]);
        assert_eq!((quality.tokens, quality.same_top), (2, 0.5));
        assert!((quality.divergence - one / 2.0).abs() < 1e-7);
        assert_eq!(quality.divergence_p99, one);
        assert!((quality.baseline_perplexity - 2.0).abs() < 1e-12);
        let ratio = quality.perplexity / quality.baseline_perplexity;
        assert_eq!(quality.perplexity_ratio(), ratio);
    }

    #[test]
    fn nothing_has_no_quality() {
        assert!(Quality::of(&Divergence::default()).is_err());
    }
}
