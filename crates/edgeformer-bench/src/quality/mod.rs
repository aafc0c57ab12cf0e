//! What a choice of the session does to what the model says.

mod score;

use std::sync::Arc;

use edgeformer_core::{
    Input, Outputs, Program, SequenceId, Session, SessionOptions, Span, Step, Want,
};

use crate::text::Windows;
use crate::{Error, Result};

pub(crate) use score::LogSoftmax;
pub use score::{Quality, Scores};

/// Rows of logits that are held at a time, of each of the two sessions.
const ROWS: usize = 32;

/// Compares a session with these options to a session with the baseline's, on the same text.
///
/// Both run every window in lockstep, a few rows at a time, so that memory does not grow with the
/// text. Of each window the first half is context only. The sizes of the sessions (context,
/// sequences, chunk, output rows) follow from the text and not from the options.
///
/// # Errors
/// If one of the sessions cannot be opened or refuses a step, or a model computes nonsense.
pub fn quality(
    program: &Arc<dyn Program>,
    baseline: &SessionOptions,
    candidate: &SessionOptions,
    windows: &Windows,
) -> Result<Quality> {
    let open = |options: &SessionOptions| program.clone().open(&sized(options, windows.context()));
    let mut baseline = Reader::new(open(baseline)?);
    let mut candidate = Reader::new(open(candidate)?);
    let mut scores = Scores::default();
    for window in windows.iter() {
        let unscored = windows.unscored();
        baseline.begin(&window[..unscored])?;
        candidate.begin(&window[..unscored])?;
        // The last token has no successor in the window.
        let scored = &window[unscored..window.len() - 1];
        for (start, tokens) in (unscored..).step_by(ROWS).zip(scored.chunks(ROWS)) {
            baseline.read(tokens, Want::All)?;
            candidate.read(tokens, Want::All)?;
            let next = &window[start + 1..][..tokens.len()];
            let rows = baseline.outputs.rows().iter().zip(candidate.outputs.rows().iter());
            for ((baseline, candidate), &next) in rows.zip(next) {
                scores.add(baseline, candidate, next)?;
            }
        }
    }
    scores.finish()
}

/// The session's options for windows of `context` tokens.
pub(crate) fn sized(options: &SessionOptions, context: usize) -> SessionOptions {
    let chunk = ROWS.min(context);
    SessionOptions { context, sequences: 1, chunk, output_rows: chunk, ..options.clone() }
}

/// A session that reads one text after the other.
struct Reader {
    session: Box<dyn Session>,
    sequence: Option<SequenceId>,
    outputs: Outputs,
}

impl Reader {
    fn new(session: Box<dyn Session>) -> Self {
        Self { session, sequence: None, outputs: Outputs::default() }
    }

    /// Forgets the text before and reads the context of the next one: a prompt, whose last row is
    /// wanted as a prompt's is.
    fn begin(&mut self, context: &[u32]) -> Result<()> {
        if let Some(sequence) = self.sequence.take() {
            self.session.cache().remove(sequence);
        }
        self.sequence = Some(self.session.cache().create()?);
        let (body, last) = context.split_at((context.len() - 1) / ROWS * ROWS);
        body.chunks(ROWS).try_for_each(|tokens| self.read(tokens, Want::Nothing))?;
        self.read(last, Want::Last)
    }

    fn read(&mut self, tokens: &[u32], want: Want) -> Result<()> {
        let nothing = || Error::Request("a text is read before it has begun".into());
        let sequence = self.sequence.ok_or_else(nothing)?;
        let span = Span { sequence, input: Input::Tokens(tokens), want };
        Ok(self.session.run(&Step { spans: &[span] }, &mut self.outputs)?)
    }
}
