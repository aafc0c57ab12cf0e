use std::path::PathBuf;
use std::sync::Arc;

use edgeformer::evaluate::LogSoftmax;
use edgeformer_core::{
    Error as CoreError, Input, Outputs, Program, SessionOptions, Span, Step, Want,
};

use super::Policy;
use super::report::{PolicyFigures, Refusal, Slice, StreamReport};
use crate::subject::{ModelChoice, Subject, text_name};
use crate::{Error, Machine, Progress, Result};

/// Tokens of a step.
const CHUNK: usize = 64;

/// A long text, and ways to read it.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamBench {
    /// The model.
    pub model: ModelChoice,
    /// The text.
    pub text: PathBuf,
    /// Tokens of it that are read.
    pub tokens: usize,
    /// Newest tokens that a query sees.
    pub window: usize,
    /// First tokens that it sees besides.
    pub sinks: usize,
    /// Tokens of a slice.
    pub slice: usize,
}

impl StreamBench {
    /// Reads the text in every way. `commit` is what was built, `command` what was called.
    ///
    /// # Errors
    /// If the model or the text cannot be opened, or the text is too short. What a single way
    /// cannot do is told in its row.
    pub fn run(
        &self,
        commit: Option<String>,
        command: &str,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<StreamReport> {
        if self.slice == 0 {
            return Err(Error::Request("slices start at 1 token".into()));
        }
        let subject = Subject::open(&self.model, true)?;
        let text = self.read(&subject)?;
        let policies = Policy::all(self.window, self.sinks);
        let total = policies.len() * text.len();
        let read = |(index, &policy): (usize, &Policy)| {
            let before = index * text.len();
            let what = policy.to_string();
            let step = |done| progress(Progress { done: before + done, total, what: &what });
            self.follow(&subject.program, policy, subject.trained_context(), &text, &step)
        };
        Ok(StreamReport {
            machine: Machine::here(&subject.device, commit),
            command: command.into(),
            model: subject.record(&self.model),
            text: text_name(&self.text),
            tokens: text.len(),
            policies: policies.iter().enumerate().map(read).collect(),
        })
    }

    /// The text, with the token that begins texts in front.
    fn read(&self, subject: &Subject) -> Result<Vec<u32>> {
        let text = subject.tokens_of(&self.text)?;
        let tokens: Vec<u32> =
            subject.beginning().into_iter().chain(text).take(self.tokens).collect();
        if tokens.len() < self.tokens.max(2) {
            let problem = format!("has {} tokens, {} are to be read", tokens.len(), self.tokens);
            return Err(Error::file(&self.text, problem));
        }
        Ok(tokens)
    }

    /// Reads a text in one way, as far as that goes.
    fn follow(
        &self,
        program: &Arc<dyn Program>,
        policy: Policy,
        trained: usize,
        text: &[u32],
        step: &dyn Fn(usize),
    ) -> PolicyFigures {
        let mut reading = Reading {
            slices: Slices { slice: self.slice, done: Vec::new(), open: Slice::from(1) },
            cache_used: 0,
        };
        let options = policy.session(trained, text.len(), CHUNK);
        let result = reading.read(program, &options, text, step);
        let (refused, failed) = match result {
            Ok(refused) => (refused, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let Reading { slices, cache_used } = reading;
        PolicyFigures { policy, slices: slices.finish(), cache_used, refused, failed }
    }
}

/// What a text has shown so far.
struct Reading {
    slices: Slices,
    cache_used: u64,
}

impl Reading {
    /// Reads a text to its end, or to where the session refuses because its context is full.
    fn read(
        &mut self,
        program: &Arc<dyn Program>,
        options: &SessionOptions,
        text: &[u32],
        step: &dyn Fn(usize),
    ) -> Result<Option<Refusal>> {
        let mut session = program.clone().open(options)?;
        let sequence = session.cache().create()?;
        let mut outputs = Outputs::default();
        // Every token but the last is followed by one that can be scored.
        for (index, tokens) in text[..text.len() - 1].chunks(CHUNK).enumerate() {
            let first = index * CHUNK;
            let span = Span { sequence, input: Input::Tokens(tokens), want: Want::All };
            match session.run(&Step { spans: &[span] }, &mut outputs) {
                Err(error @ CoreError::ContextFull { limit, .. }) => {
                    return Ok(Some(Refusal { token: limit, problem: error.to_string() }));
                }
                stepped => stepped?,
            }
            for (row, &next) in outputs.rows().iter().zip(&text[first + 1..]) {
                self.slices.add(LogSoftmax::of(row)?.of_token(next)?);
            }
            self.cache_used = self.cache_used.max(session.cache().usage().bytes_used);
            step(first + tokens.len());
        }
        Ok(None)
    }
}

/// Sums up slice by slice.
struct Slices {
    slice: usize,
    done: Vec<Slice>,
    open: Slice,
}

impl Slices {
    fn add(&mut self, log_probability: f64) {
        self.open.surprise -= log_probability;
        self.open.tokens += 1;
        if self.open.tokens == self.slice {
            let next = Slice::from(self.open.first + self.slice);
            self.done.push(std::mem::replace(&mut self.open, next));
        }
    }

    fn finish(mut self) -> Vec<Slice> {
        if self.open.tokens > 0 {
            self.done.push(self.open);
        }
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_hold_their_tokens() {
        let mut slices = Slices { slice: 2, done: Vec::new(), open: Slice::from(1) };
        for probability in [0.5f64, 0.5, 0.25, 0.25, 0.1] {
            slices.add(probability.ln());
        }
        let slices = slices.finish();
        let shown: Vec<_> = slices
            .iter()
            .map(|slice| (slice.first, slice.tokens, slice.perplexity().round() as u64))
            .collect();
        assert_eq!(shown, [(1, 2, 2), (3, 2, 4), (5, 1, 10)]);
    }
}
