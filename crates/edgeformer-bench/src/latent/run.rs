use super::{Crossover, Dimensions, LatentReport, LatentSize};
use crate::cache::any_tokens;
use crate::subject::{ModelChoice, Subject};
use crate::{Machine, Progress, Result};

/// A model with latent attention, and what of it is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatentBench {
    /// The model.
    pub model: ModelChoice,
    /// Tokens that the cache is filled with.
    pub tokens: usize,
    /// Tokens of context behind which the forms are timed.
    pub context: usize,
    /// Span lengths, ascending.
    pub spans: Vec<usize>,
    /// How often each is timed.
    pub runs: usize,
}

impl LatentBench {
    /// Measures. `commit` is what was built, `command` what was called.
    ///
    /// # Errors
    /// If the model cannot be opened or has no latent attention, or the backend refuses a form.
    pub fn run(
        &self,
        commit: Option<String>,
        command: &str,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<LatentReport> {
        let subject = Subject::open(&self.model, false)?;
        let dimensions = Dimensions::of(subject.program.graph())?;
        let longest = self.spans.iter().max().copied().unwrap_or(0);
        let length = self.tokens.max(self.context + longest);
        let tokens = any_tokens(subject.vocabulary(), length);
        let mut spans = self.spans.clone();
        spans.sort_unstable();
        let crossover =
            Crossover::measure(&subject, &tokens, self.context, &spans, self.runs, progress)?;
        let size = LatentSize::measure(&subject, &dimensions, &tokens[..self.tokens], progress)?;
        Ok(LatentReport {
            machine: Machine::here(&subject.device, commit),
            command: command.into(),
            model: subject.record(&self.model),
            dimensions,
            size,
            crossover,
        })
    }
}
