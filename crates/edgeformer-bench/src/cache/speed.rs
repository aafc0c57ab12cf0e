//! How fast a session is at a depth, and what it takes.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use edgeformer_core::{
    CacheUsage, Footprint, Input, Outputs, SequenceId, Session, SessionOptions, Span, Step, Want,
};

use super::{Configuration, session_of};
use crate::subject::{ModelChoice, Subject};
use crate::{Error, Result};

/// Tokens that a session reads before the clock starts: maps weights, starts threads.
const WARM_UP: usize = 16;

/// Rows of a step while the prompt is read.
pub(super) const CHUNK: usize = 512;

/// Measures one configuration at one depth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeedJob {
    /// The model.
    pub model: ModelChoice,
    /// How the past is kept.
    pub configuration: Configuration,
    /// Tokens of the prompt.
    pub depth: usize,
    /// The prompt, and behind it the tokens that are decoded.
    pub tokens: Vec<u32>,
}

/// What a configuration takes and gives at a depth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Prompt tokens a second, over the whole prompt.
    pub prefill: f64,
    /// Tokens a second behind the prompt, one at a time.
    pub decode: f64,
    /// The most memory that the process had resident, where the system tells.
    pub peak_resident: Option<u64>,
    /// What the cache held behind the prompt.
    pub usage: CacheUsage,
    /// What was planned.
    pub footprint: Footprint,
    /// Bytes that cache pages in memory were held to, if they were.
    pub budget: Option<u64>,
}

impl SpeedJob {
    /// Measures in this process.
    ///
    /// # Errors
    /// If the model cannot be opened, or the backend refuses the configuration.
    pub fn run(&self) -> Result<Speed> {
        if self.depth == 0 || self.tokens.len() <= self.depth {
            let (tokens, depth) = (self.tokens.len(), self.depth);
            return Err(Error::Request(format!(
                "{tokens} tokens are not a prompt of {depth} and tokens to decode"
            )));
        }
        let folder =
            tempfile::tempdir().map_err(|error| Error::file(&std::env::temp_dir(), error))?;
        let subject = Subject::open(&self.model, false)?;
        let base = SessionOptions {
            context: self.tokens.len(),
            chunk: CHUNK.min(self.tokens.len()),
            output_rows: 1,
            ..SessionOptions::default()
        };
        let (options, footprint) = session_of(&subject, &self.configuration, &base, folder.path())?;
        let mut session = subject.program.clone().open(&options)?;
        let (prefill, usage, decode) = self.measure(session.as_mut(), options.chunk)?;
        Ok(Speed {
            prefill,
            decode,
            peak_resident: edgeformer::peak_resident_bytes(),
            usage,
            footprint,
            budget: options.tiers.budget,
        })
    }

    /// Prompt tokens a second, what the cache held behind the prompt, tokens a second from there.
    fn measure(&self, session: &mut dyn Session, chunk: usize) -> Result<(f64, CacheUsage, f64)> {
        let mut outputs = Outputs::default();
        let (prompt, answer) = self.tokens.split_at(self.depth);

        let warm = &prompt[..WARM_UP.min(prompt.len())];
        let sequence = session.cache().create()?;
        read(session, sequence, warm, chunk, &mut outputs)?;
        session.cache().remove(sequence);

        let sequence = session.cache().create()?;
        let start = Instant::now();
        read(session, sequence, prompt, chunk, &mut outputs)?;
        let prefill = rate(prompt.len(), start);
        let usage = session.cache().usage();
        let start = Instant::now();
        for token in answer.chunks(1) {
            read(session, sequence, token, chunk, &mut outputs)?;
        }
        Ok((prefill, usage, rate(answer.len(), start)))
    }
}

/// Reads tokens as an engine does: chunk by chunk, the last row wanted.
pub(crate) fn read(
    session: &mut dyn Session,
    sequence: SequenceId,
    tokens: &[u32],
    chunk: usize,
    outputs: &mut Outputs,
) -> Result<()> {
    let last = tokens.len().saturating_sub(1) / chunk;
    for (index, tokens) in tokens.chunks(chunk).enumerate() {
        let want = if index == last { Want::Last } else { Want::Nothing };
        let span = Span { sequence, input: Input::Tokens(tokens), want };
        session.run(&Step { spans: &[span] }, outputs)?;
    }
    Ok(())
}

fn rate(count: usize, start: Instant) -> f64 {
    // No clock is so fine that a step takes none of it, and no figure is worth a division by zero.
    count as f64 / start.elapsed().as_secs_f64().max(1e-9)
}
