//! A session that reads texts to be scored.

use std::sync::Arc;

use edgeformer_core::{
    Input, InputObserver, Outputs, Program, Rows, SequenceId, Session, SessionOptions, Span, Step,
    Want,
};

use super::{Divergence, Window};
use crate::{Error, Result};

/// A session that reads one text after the other.
pub struct Reader {
    session: Box<dyn Session>,
    sequence: Option<SequenceId>,
    outputs: Outputs,
    /// Tokens of a step that wants no logits.
    chunk: usize,
    /// Tokens of a step that wants those of all.
    rows: usize,
}

impl Reader {
    /// Opens a session.
    ///
    /// # Errors
    /// If the program refuses the options.
    pub fn open(program: &Arc<dyn Program>, options: &SessionOptions) -> Result<Self> {
        Ok(Self {
            session: program.clone().open(options)?,
            sequence: None,
            outputs: Outputs::default(),
            chunk: options.chunk.max(1),
            rows: options.output_rows.min(options.chunk).max(1),
        })
    }

    /// Forgets the text before and reads the context of the next one: a prompt, whose last row is
    /// wanted as a prompt's is.
    ///
    /// # Errors
    /// If the session refuses it.
    pub fn begin(&mut self, context: &[u32]) -> Result<()> {
        self.forget();
        self.sequence = Some(self.session.cache().create()?);
        let Some(before_last) = context.len().checked_sub(1) else { return Ok(()) };
        let (body, last) = context.split_at(before_last / self.chunk * self.chunk);
        body.chunks(self.chunk).try_for_each(|tokens| self.read(tokens, Want::Nothing))?;
        self.read(last, Want::Last)
    }

    /// Reads on, no more tokens than a step takes: [`rows`](Self::rows) where all logits are wanted.
    ///
    /// # Errors
    /// If nothing was begun, or the session refuses the step.
    pub fn read(&mut self, tokens: &[u32], want: Want) -> Result<()> {
        let nothing = || Error::Request("a text is read before it has begun".into());
        let sequence = self.sequence.ok_or_else(nothing)?;
        let span = Span { sequence, input: Input::Tokens(tokens), want };
        Ok(self.session.run(&Step { spans: &[span] }, &mut self.outputs)?)
    }

    /// The logits of the last step.
    pub fn logits(&self) -> Rows<'_> {
        self.outputs.rows()
    }

    /// Shows an observer what every following step multiplies with weights.
    ///
    /// # Errors
    /// If the backend cannot show it.
    pub fn observe(&mut self, observer: InputObserver) -> Result<()> {
        Ok(self.session.observe_inputs(Some(observer))?)
    }

    /// Tokens whose logits can be had in one step.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Reads a window; `score` gets every scored row and the right next token.
    ///
    /// # Errors
    /// If the session refuses a step, or scoring does.
    pub fn follow(
        &mut self,
        window: &Window<'_>,
        mut score: impl FnMut(&[f32], u32) -> Result<()>,
    ) -> Result<()> {
        self.begin(window.context())?;
        self.score(window.scored(), window.next(), &mut score)
    }

    /// Reads on from what was begun and leaves that as it was, for another end.
    ///
    /// # Errors
    /// If nothing was begun, the session refuses a step, or scoring does.
    pub fn branch(
        &mut self,
        tokens: &[u32],
        next: &[u32],
        mut score: impl FnMut(&[f32], u32) -> Result<()>,
    ) -> Result<()> {
        let nothing = || Error::Request("a text is read before it has begun".into());
        let shared = self.sequence.ok_or_else(nothing)?;
        let fork = self.session.cache().fork(shared)?;
        self.sequence = Some(fork);
        let scored = self.score(tokens, next, &mut score);
        self.session.cache().remove(fork);
        self.sequence = Some(shared);
        scored
    }

    fn score(
        &mut self,
        tokens: &[u32],
        next: &[u32],
        score: &mut impl FnMut(&[f32], u32) -> Result<()>,
    ) -> Result<()> {
        for (tokens, next) in tokens.chunks(self.rows).zip(next.chunks(self.rows)) {
            self.read(tokens, Want::All)?;
            let rows = self.outputs.rows();
            rows.iter().zip(next).try_for_each(|(row, &next)| score(row, next))?;
        }
        Ok(())
    }

    fn forget(&mut self) {
        if let Some(sequence) = self.sequence.take() {
            self.session.cache().remove(sequence);
        }
    }
}

/// Reads a window with two sessions in lockstep, a few rows at a time, and compares what they say.
///
/// # Errors
/// If one of the sessions refuses a step, or a model computes nonsense.
pub fn diverge(
    reference: &mut Reader,
    candidate: &mut Reader,
    window: &Window<'_>,
) -> Result<Divergence> {
    let rows = reference.rows.min(candidate.rows);
    let mut divergence = Divergence::with_room(window.room());
    reference.begin(window.context())?;
    candidate.begin(window.context())?;
    for (tokens, next) in window.scored().chunks(rows).zip(window.next().chunks(rows)) {
        reference.read(tokens, Want::All)?;
        candidate.read(tokens, Want::All)?;
        let pairs = reference.logits().iter().zip(candidate.logits().iter());
        for ((reference, candidate), &next) in pairs.zip(next) {
            divergence.add(reference, candidate, next)?;
        }
    }
    Ok(divergence)
}
