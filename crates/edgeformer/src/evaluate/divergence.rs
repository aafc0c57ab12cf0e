//! Two models that read the same text, compared token by token.

use serde::{Deserialize, Serialize};

use super::{LogSoftmax, Moments, exact};
use crate::Result;

/// Parts of a window that are told apart.
const POSITIONS: usize = 16;

/// How what a model says differs from what its reference says, summed up over tokens: of one window
/// or, [merged](Self::merge), of many. All in nats, over the whole vocabulary, in double precision.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Divergence {
    /// Negative log-likelihood of the right token.
    pub nll: Moments,
    /// That of the reference.
    pub reference_nll: Moments,
    /// The one less the other, token by token.
    pub excess: Moments,
    /// Kullback-Leibler divergence from the reference.
    pub kl: Moments,
    /// Probability of the right token, less what the reference gives it.
    pub change: Moments,
    /// Tokens at which both hold the same token for the likeliest.
    pub same_top: u64,
    /// The divergence of each token.
    #[serde(with = "exact::many")]
    pub values: Vec<f32>,
    /// By position in the window, at most sixteen parts of it.
    pub positions: Vec<Position>,
    /// Scored tokens of a whole window.
    room: usize,
}

/// What is known of a part of the window.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Kullback-Leibler divergence from the reference.
    pub kl: Moments,
    /// Negative log-likelihood of the right token.
    pub nll: Moments,
    /// That of the reference.
    pub reference_nll: Moments,
}

impl Divergence {
    /// For a window in which up to `room` tokens are scored.
    pub fn with_room(room: usize) -> Self {
        let positions = vec![Position::default(); room.min(POSITIONS)];
        Self { room, positions, ..Self::default() }
    }

    /// Takes the logits of both before `next` in.
    ///
    /// # Errors
    /// If a logit is no number or infinite, the vocabularies differ, or `next` is outside of them.
    pub fn add(&mut self, reference: &[f32], candidate: &[f32], next: u32) -> Result<()> {
        let (p, q) = (LogSoftmax::of(reference)?, LogSoftmax::of(candidate)?);
        let kl = p.divergence(&q)?;
        let (log_p, log_q) = (p.of_token(next)?, q.of_token(next)?);
        if let Some(part) = self.part(self.values.len()) {
            part.kl.add(kl);
            part.nll.add(-log_q);
            part.reference_nll.add(-log_p);
        }
        self.nll.add(-log_q);
        self.reference_nll.add(-log_p);
        self.excess.add(log_p - log_q);
        self.kl.add(kl);
        self.change.add(log_q.exp() - log_p.exp());
        self.same_top += u64::from(p.top() == q.top());
        self.values.push(kl as f32);
        Ok(())
    }

    /// Takes all tokens of another in.
    pub fn merge(&mut self, other: &Self) {
        self.nll.merge(&other.nll);
        self.reference_nll.merge(&other.reference_nll);
        self.excess.merge(&other.excess);
        self.kl.merge(&other.kl);
        self.change.merge(&other.change);
        self.same_top += other.same_top;
        self.values.extend_from_slice(&other.values);
        self.room = self.room.max(other.room);
        self.positions.resize(self.positions.len().max(other.positions.len()), Position::default());
        for (part, other) in self.positions.iter_mut().zip(&other.positions) {
            part.kl.merge(&other.kl);
            part.nll.merge(&other.nll);
            part.reference_nll.merge(&other.reference_nll);
        }
    }

    /// Tokens that were compared.
    pub fn tokens(&self) -> u64 {
        self.kl.count()
    }

    /// First and last scored token of a part of the window, counted from the first scored one.
    pub(super) fn bounds(&self, part: usize) -> (usize, usize) {
        let parts = self.positions.len().max(1);
        ((part * self.room).div_ceil(parts), ((part + 1) * self.room).div_ceil(parts) - 1)
    }

    /// The part of the window that the scored token `index` lies in.
    fn part(&mut self, index: usize) -> Option<&mut Position> {
        let part = (index * self.positions.len()).checked_div(self.room)?;
        self.positions.get_mut(part)
    }
}

#[cfg(test)]
mod tests;
