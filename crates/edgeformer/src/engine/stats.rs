use std::time::{Duration, Instant};

use serde::Serialize;

/// How fast an answer was.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Of these, tokens that the cache still held: of the conversation, of a saved prompt, or of
    /// another prompt with the same beginning.
    pub cached_tokens: usize,
    /// Tokens of the answer.
    pub generated_tokens: usize,
    /// Seconds from the request to the first token.
    pub time_to_first_token: f64,
    /// Seconds from the first token to the last.
    pub decode_seconds: f64,
    /// Tokens that were guessed and verified, with [`Speculation`](crate::Speculation).
    pub drafted_tokens: usize,
    /// Of these, tokens that were right: so many steps were saved.
    pub accepted_tokens: usize,
}

impl Stats {
    /// Prompt tokens a second, cached ones not counted.
    pub fn prompt_tokens_per_second(&self) -> f64 {
        rate(self.prompt_tokens - self.cached_tokens, self.time_to_first_token)
    }

    /// Answer tokens a second, the first not counted: it belongs to the prompt.
    pub fn decode_tokens_per_second(&self) -> f64 {
        rate(self.generated_tokens.saturating_sub(1), self.decode_seconds)
    }
}

fn rate(count: usize, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// Takes the times that [`Stats`] reports.
#[derive(Debug)]
pub(super) struct Clock {
    asked: Instant,
    first: Option<Instant>,
    last: Instant,
    drafted: usize,
    accepted: usize,
}

impl Clock {
    pub fn start() -> Self {
        let now = Instant::now();
        Self { asked: now, first: None, last: now, drafted: 0, accepted: 0 }
    }

    pub fn token(&mut self) {
        self.last = Instant::now();
        self.first.get_or_insert(self.last);
    }

    /// Counts guesses, and those of them that were right.
    pub fn guesses(&mut self, drafted: usize, accepted: usize) {
        self.drafted += drafted;
        self.accepted += accepted;
    }

    pub fn stats(
        &self,
        prompt_tokens: usize,
        cached_tokens: usize,
        generated_tokens: usize,
    ) -> Stats {
        let first = self.first.unwrap_or(self.last);
        Stats {
            prompt_tokens,
            cached_tokens,
            generated_tokens,
            time_to_first_token: seconds(first - self.asked),
            decode_seconds: seconds(self.last - first),
            drafted_tokens: self.drafted,
            accepted_tokens: self.accepted,
        }
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
