//! What a choice of the session does to what the model says.

mod score;

use std::sync::Arc;

use edgeformer::evaluate::{Divergence, Reader, Windows, diverge};
use edgeformer_core::{Program, SessionOptions};

use crate::Result;

pub use score::Quality;

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
    let open = |options| Reader::open(program, &sized(options, windows.context()));
    let (mut baseline, mut candidate) = (open(baseline)?, open(candidate)?);
    let mut all = Divergence::default();
    for window in windows.iter() {
        all.merge(&diverge(&mut baseline, &mut candidate, &window)?);
    }
    Quality::of(&all)
}

/// The session's options for windows of `context` tokens.
pub(crate) fn sized(options: &SessionOptions, context: usize) -> SessionOptions {
    let chunk = ROWS.min(context);
    SessionOptions { context, sequences: 1, chunk, output_rows: chunk, ..options.clone() }
}
