//! Models that look at records, and who watches them.

use crate::data::Template;
use crate::{Error, Result};

/// A model that says how hard records are for it.
pub trait Judge {
    /// What makes prompts of conversations, if the model has a chat template.
    fn template(&self) -> Option<&dyn Template>;

    /// Tokens that a prompt and its answer may have together.
    fn context(&self) -> usize;

    /// Tokens of a text.
    ///
    /// # Errors
    /// If the model has no tokenizer.
    fn tokens(&mut self, text: &str) -> Result<usize>;

    /// Mean negative log-likelihood of the answer's tokens behind the prompt, in nats. Without a
    /// prompt the answer stands at the beginning of a text. `None` where no token has another
    /// before it.
    ///
    /// # Errors
    /// If the two do not fit the context, or the model fails.
    fn loss(&mut self, prompt: &str, answer: &str) -> Result<Option<f64>>;

    /// Answers that the model gives to a prompt: the same for the same seed.
    ///
    /// # Errors
    /// If the prompt does not fit the context, or the model fails.
    fn sample(&mut self, prompt: &str, count: usize, seed: u64) -> Result<Vec<String>>;

    /// Gives memory back: nothing is asked for a while.
    fn rest(&mut self) {}
}

/// A model that says what texts are about.
pub trait Embedder {
    /// A vector for a text, as wide for every text. What does not fit the model's context is
    /// left out.
    ///
    /// # Errors
    /// If the model fails.
    fn embed(&mut self, text: &str) -> Result<Vec<f32>>;

    /// Whether all vectors lean one way, as those of models do that were not trained to compare
    /// texts: then the mean is taken off before they are compared.
    fn leans(&self) -> bool {
        false
    }
}

/// The models that a curation may ask.
#[derive(Default)]
pub struct Models<'a> {
    /// For tokens, difficulty.
    pub judge: Option<&'a mut dyn Judge>,
    /// For diversity.
    pub embedder: Option<&'a mut dyn Embedder>,
}

/// How a long run is watched and stopped.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Told what goes on, and how much of how much is done.
    pub progress: &'a dyn Fn(&str, u64, u64),
    /// Asked whether to stop.
    pub stopped: &'a dyn Fn() -> bool,
}

impl Default for Watch<'_> {
    fn default() -> Self {
        Self { progress: &|_, _, _| (), stopped: &|| false }
    }
}

impl Watch<'_> {
    /// So much is done; goes on or not.
    pub(super) fn step(&self, what: &str, done: usize, all: usize) -> Result<()> {
        if (self.stopped)() {
            return Err(Error::Interrupted);
        }
        (self.progress)(what, done as u64, all as u64);
        Ok(())
    }
}
