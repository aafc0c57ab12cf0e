//! What a row of logits says.

use crate::{Error, Result};

/// What a model says of the next token: its logits, normalised in double precision.
#[derive(Debug)]
pub struct LogSoftmax<'a> {
    logits: &'a [f32],
    /// Logarithm of the sum of all exponentials.
    normal: f64,
    /// The likeliest token, the first of equals.
    top: usize,
}

impl<'a> LogSoftmax<'a> {
    /// Normalises a row of logits.
    ///
    /// # Errors
    /// If there is none, or one is no number or infinite.
    pub fn of(logits: &'a [f32]) -> Result<Self> {
        if let Some(wrong) = logits.iter().find(|logit| !logit.is_finite()) {
            return Err(Error::Generation(format!(
                "the model computes nonsense: a logit is {wrong}; check the file, or try --no-repack and --activations f32"
            )));
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

    /// The likeliest token, the first of equals.
    pub fn top(&self) -> usize {
        self.top
    }

    /// Logarithm of the probability of a token.
    ///
    /// # Errors
    /// If the token is outside the vocabulary.
    pub fn of_token(&self, token: u32) -> Result<f64> {
        let vocabulary = self.logits.len();
        if token as usize >= vocabulary {
            return Err(edgeformer_core::Error::Token { token, vocabulary }.into());
        }
        Ok(self.at(token as usize))
    }

    /// Kullback-Leibler divergence of `other` from this distribution, in nats.
    ///
    /// # Errors
    /// If the two have vocabularies of different sizes.
    pub fn divergence(&self, other: &Self) -> Result<f64> {
        let (ours, theirs) = (self.logits.len(), other.logits.len());
        if ours != theirs {
            return Err(Error::Request(format!(
                "a distribution over {ours} tokens cannot be compared with one over {theirs}"
            )));
        }
        let term = |token| {
            let log_p = self.at(token);
            log_p.exp() * (log_p - other.at(token))
        };
        // A sum of rounded terms can end a hair below what no divergence is below.
        Ok((0..ours).map(term).sum::<f64>().max(0.0))
    }

    fn at(&self, token: usize) -> f64 {
        f64::from(self.logits[token]) - self.normal
    }
}
