use std::sync::Arc;
use std::sync::mpsc::Sender;

use edgeformer_core::{AdapterScales, Rows, SequenceId};
use edgeformer_models::ModelFile;
use edgeformer_models::text::{AddSpecial, TextStream as Detokenizer, Tokenizer};

use super::generate::{GenerateOptions, tokenizer};
use super::sample::Sampler;
use super::speculate::{Guess, Lookup};
use super::stats::Clock;
use super::stop::{Released, StopTexts};
use super::stream::{Event, Finish, FinishReason};
use crate::{Error, Result};

/// A request for an answer.
pub(super) struct Job {
    pub prompt: Vec<u32>,
    pub options: GenerateOptions,
    /// How strongly adapters act.
    pub adapters: AdapterScales,
    /// The conversation it belongs to, whose cache it continues.
    pub conversation: Option<u64>,
    pub events: Sender<Event>,
    pub clock: Clock,
}

/// An answer being written.
pub(super) struct Running {
    pub sequence: SequenceId,
    pub conversation: Option<u64>,
    pub adapters: AdapterScales,
    /// Prompt and answer; while a step runs, its guesses behind them.
    pub tokens: Vec<u32>,
    /// How many of `tokens` the cache holds.
    pub fed: usize,
    /// Whether the answer is over and its reader knows.
    pub ended: bool,
    pub sampler: Sampler,
    /// Guesses at the end of `tokens`.
    guessed: usize,
    /// The class of the guesses.
    class: usize,
    lookup: Lookup,
    /// A guess that was not worth verifying, and its class.
    expected: Option<(u32, usize)>,
    prompt_tokens: usize,
    cached_tokens: usize,
    max_tokens: usize,
    ends: Vec<u32>,
    ignore_eos: bool,
    text: Text,
    events: Sender<Event>,
    clock: Clock,
}

/// What became of the guesses of a step.
pub(super) struct Verdict {
    pub class: usize,
    pub guessed: usize,
    pub right: usize,
    /// Of a guess that was not verified: its class, and whether it would have been right.
    pub expected: Option<(usize, bool)>,
}

/// From tokens to pieces of text that can be shown. A model without a tokenizer shows nothing.
struct Text {
    detokenizer: Option<Detokenizer>,
    stop: StopTexts,
}

impl Running {
    /// Starts a job whose first `cached` tokens are in the cache of `sequence`.
    pub fn start(job: Job, file: &Arc<ModelFile>, sequence: SequenceId, cached: usize) -> Self {
        let Job { prompt, options, adapters, conversation, events, clock } = job;
        let tokenizer = tokenizer(file).ok();
        // Four texts to encode: only for those who asked for DRY.
        let dry = options.sampling.dry.multiplier > 0.0;
        let breakers = tokenizer.filter(|_| dry).map_or(Vec::new(), dry_breakers);
        Self {
            sequence,
            conversation,
            adapters,
            fed: cached,
            ended: false,
            guessed: 0,
            class: 0,
            lookup: Lookup::default(),
            expected: None,
            prompt_tokens: prompt.len(),
            cached_tokens: cached,
            max_tokens: options.max_tokens.unwrap_or(usize::MAX),
            sampler: Sampler::new(&options.sampling, &prompt, breakers),
            ends: file.end_tokens(),
            ignore_eos: options.ignore_eos,
            text: Text {
                detokenizer: tokenizer.map(|tokenizer| tokenizer.stream_after(&prompt)),
                stop: StopTexts::new(&options.stop),
            },
            tokens: prompt,
            events,
            clock,
        }
    }

    /// Tokens that the cache does not hold yet.
    pub fn pending(&self) -> &[u32] {
        &self.tokens[self.fed..]
    }

    /// Whether its prompt is still being run.
    pub fn is_prompt(&self) -> bool {
        self.pending().len() - self.guessed > 1
    }

    /// Tokens that must not be drawn.
    pub fn banned(&self) -> &[u32] {
        if self.ignore_eos { self.ends.as_slice() } else { &[] }
    }

    /// Tokens that may still be drawn after the next one.
    pub fn left(&self) -> usize {
        self.max_tokens.saturating_sub(self.answer().len() + 1)
    }

    /// What followed the last tokens before.
    pub fn look_up(&mut self, most: usize) -> Guess {
        self.lookup.guess(&self.tokens, most)
    }

    /// Remembers a guess that is not verified, to learn whether it would have been right.
    pub fn expect(&mut self, guess: &Guess) {
        self.expected = guess.tokens.first().map(|&token| (token, guess.class));
    }

    /// Puts guesses behind the tokens, for the next step.
    pub fn put_guess(&mut self, guess: &Guess) {
        self.tokens.extend_from_slice(&guess.tokens);
        (self.guessed, self.class) = (guess.tokens.len(), guess.class);
    }

    /// How many guesses the next step verifies.
    pub fn guessed(&self) -> usize {
        self.guessed
    }

    /// Takes the guesses away again.
    pub fn take_guesses(&mut self) -> Vec<u32> {
        let guessed = std::mem::take(&mut self.guessed);
        self.tokens.split_off(self.tokens.len() - guessed)
    }

    /// Takes the logits behind the last token and behind each guess, one row each; goes on as long
    /// as the guesses are the tokens drawn. Then `fed` counts those that the cache may keep.
    pub fn verify(&mut self, logits: Rows<'_>, longest: Option<usize>) -> Verdict {
        let guesses = self.take_guesses();
        self.fed -= guesses.len();
        let mut right = 0;
        self.clock.guesses(guesses.len(), 0);
        self.advance(logits.row(0), longest);
        while !self.ended && right < guesses.len() && self.tokens.last() == Some(&guesses[right]) {
            right += 1;
            self.fed += 1;
            self.clock.guesses(0, 1);
            self.advance(logits.row(right), longest);
        }
        let told = self.tokens.last().copied();
        let expected = self.expected.take();
        Verdict {
            class: self.class,
            guessed: guesses.len(),
            right,
            expected: expected.map(|(token, class)| (class, told == Some(token))),
        }
    }

    /// Takes the logits behind the last token: chooses the next, shows its text, notices the end.
    /// `longest` is how many tokens the sequence may have.
    fn advance(&mut self, logits: &[f32], longest: Option<usize>) {
        match self.take(logits, longest) {
            Ok(None) => {}
            Ok(Some(reason)) => self.finish(reason),
            Err(error) => self.fail(error),
        }
    }

    fn take(&mut self, logits: &[f32], longest: Option<usize>) -> Result<Option<FinishReason>> {
        if self.max_tokens == 0 {
            return Ok(Some(FinishReason::Length));
        }
        let banned: &[u32] = if self.ignore_eos { &self.ends } else { &[] };
        let token = self.sampler.next(logits, banned)?;
        self.clock.token();
        self.tokens.push(token);
        if self.ends.contains(&token) && !self.ignore_eos {
            return Ok(Some(FinishReason::Stop));
        }
        match self.text.push(token)? {
            Released::Stopped(text) => {
                self.show(&text);
                Ok(Some(FinishReason::Stop))
            }
            // The reader is gone: nobody waits for the rest.
            Released::Text(text) if !self.show(&text) => Ok(Some(FinishReason::Stop)),
            Released::Text(_) if self.answer().len() >= self.max_tokens => {
                Ok(Some(FinishReason::Length))
            }
            Released::Text(_) if longest.is_some_and(|longest| self.fed >= longest) => {
                Ok(Some(FinishReason::Length))
            }
            Released::Text(_) => Ok(None),
        }
    }

    fn answer(&self) -> &[u32] {
        &self.tokens[self.prompt_tokens..]
    }

    /// Whether the reader is still there.
    fn show(&self, text: &str) -> bool {
        text.is_empty() || self.events.send(Event::Text(text.to_string())).is_ok()
    }

    fn finish(&mut self, reason: FinishReason) {
        // A stop text has taken what was held back with it.
        let rest = self.text.finish();
        self.show(&rest);
        let answer = self.answer().to_vec();
        let stats = self.clock.stats(self.prompt_tokens, self.cached_tokens, answer.len());
        self.end_with(Event::Finished(Finish { reason, stats, tokens: answer }));
    }

    /// Ends the answer with an error.
    pub fn fail(&mut self, error: Error) {
        self.take_guesses();
        self.end_with(Event::Failed(error));
    }

    fn end_with(&mut self, event: Event) {
        self.ended = true;
        // A reader that has gone wants no end either.
        let _gone = self.events.send(event);
    }
}

/// llama.cpp's `--dry-sequence-breaker` defaults.
const DRY_BREAKERS: [&str; 4] = ["\n", ":", "\"", "*"];

/// The tokens that end with a breaker.
fn dry_breakers(tokenizer: &Tokenizer) -> Vec<u32> {
    let alone = |text: &&str| tokenizer.encode(text, AddSpecial::Never, false).ok();
    DRY_BREAKERS.iter().filter_map(alone).filter_map(|tokens| tokens.last().copied()).collect()
}

impl Text {
    fn push(&mut self, token: u32) -> Result<Released> {
        let Some(detokenizer) = &mut self.detokenizer else {
            return Ok(Released::Text(String::new()));
        };
        Ok(self.stop.push(detokenizer.push(token)))
    }

    fn finish(&mut self) -> String {
        let tail = self.detokenizer.as_mut().map_or("", Detokenizer::finish);
        match self.stop.push(tail) {
            Released::Stopped(text) => text,
            Released::Text(text) => text + &self.stop.finish(),
        }
    }
}
