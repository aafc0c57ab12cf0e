//! Speculation: tokens are guessed, and verified together in one step, which costs little more
//! than a step for one where weights have to be read from memory anyway (Leviathan et al., "Fast
//! Inference from Transformers via Speculative Decoding", arXiv 2211.17192).
//!
//! - `options`: where guesses come from, and how many
//! - `lookup`: what followed the last tokens where they occurred before
//! - `draft`: a small model
//! - `pace`: how many guesses pay, by measured times; `costs`: the times
//!
//! Nothing changes but time. A token is always drawn from the model's own logits with the random
//! number that is its turn; a guess is right if it is the token drawn, and only then do the logits
//! behind it count. Given the random number a guess is certain, so this is the rejection rule for
//! a guesser that puts all probability on one token: greedy or not, with the same seed the text is
//! the one without speculation.

mod costs;
mod draft;
mod lookup;
mod options;
mod pace;

use std::time::Duration;

use edgeformer_core::SequenceId;

pub(crate) use draft::DraftPlan;
pub use options::{Guesses, Speculation};

use super::sequence::Running;
use crate::Result;
use draft::DraftModel;
pub(super) use lookup::Lookup;
use pace::Pace;

/// Guesses for the answers of an engine.
pub(super) struct Speculator {
    options: Speculation,
    pace: Pace,
    draft: Option<DraftModel>,
}

/// What was guessed for a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Guess {
    pub tokens: Vec<u32>,
    /// How good the reason for it is: guesses of one class are right equally often.
    pub class: usize,
}

impl Speculator {
    /// A speculator, `None` if nothing is to be guessed.
    pub fn new(options: &Speculation, draft: Option<DraftModel>) -> Option<Self> {
        let guesses = options.guesses != Guesses::Nothing;
        guesses.then(|| Self { options: options.clone(), pace: Pace::default(), draft })
    }

    /// Guesses what follows the tokens of an answer: at most `room` tokens, and as many as pay in
    /// a step that has `others` rows besides.
    ///
    /// # Errors
    /// If the draft model fails.
    pub fn guess(&mut self, answer: &mut Running, room: usize, others: usize) -> Result<Guess> {
        let most = room.min(self.options.max);
        let guess = match &mut self.draft {
            None => self.look_up(answer, most, others),
            Some(draft) => {
                let count = match self.options.adaptive {
                    true => self.pace.choose(0, others + 1, self.options.min, most),
                    false => most,
                };
                let (tokens, time) = draft.propose(answer, count)?;
                self.pace.drafted(tokens.len(), time);
                Guess { tokens, class: 0 }
            }
        };
        Ok(if guess.tokens.len() < self.options.min { Guess::default() } else { guess })
    }

    fn look_up(&mut self, answer: &mut Running, most: usize, others: usize) -> Guess {
        let mut guess = answer.look_up(most);
        if guess.tokens.is_empty() || !self.options.adaptive {
            return guess;
        }
        let count = self.pace.choose(guess.class, others + 1, self.options.min, guess.tokens.len());
        if count == 0 {
            answer.expect(&guess);
        }
        guess.tokens.truncate(count);
        guess
    }

    /// Takes in what a step with `rows` rows took.
    pub fn measured(&mut self, rows: usize, time: Duration) {
        self.pace.measured(rows, time);
    }

    /// Takes in that of `count` guesses of a class the first `right` were.
    pub fn judge(&mut self, class: usize, count: usize, right: usize) {
        self.pace.judge(class, count, right);
    }

    /// Forgets a sequence that is over.
    pub fn forget(&mut self, sequence: SequenceId) {
        if let Some(draft) = &mut self.draft {
            draft.forget(sequence);
        }
    }
}
