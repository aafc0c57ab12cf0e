//! A reference that many models are laid beside, on the same windows.

use super::{Divergence, Reader, Subject, Windows, diverge};
use crate::Result;

/// Bytes of logits that are kept at most: more are computed again for every model.
const KEPT: usize = 256 << 20;

/// A model and windows of text, and what it says of them once it was asked.
pub struct Reference<'a> {
    /// The model.
    pub subject: &'a Subject,
    windows: &'a Windows,
    reader: Reader,
    /// By window, the scored rows one behind the other; nothing if all of them are too many.
    kept: Vec<Option<Vec<f32>>>,
}

impl<'a> Reference<'a> {
    /// Opens a session of the model.
    ///
    /// # Errors
    /// If the program refuses it.
    pub fn open(subject: &'a Subject, windows: &'a Windows) -> Result<Self> {
        let rows = windows.count() * (windows.context() - 1 - windows.unscored());
        let bytes = rows.saturating_mul(subject.vocabulary()).saturating_mul(size_of::<f32>());
        let kept = if bytes <= KEPT { vec![None; windows.count()] } else { Vec::new() };
        let reader = Reader::open(&subject.program, &subject.session)?;
        Ok(Self { subject, windows, reader, kept })
    }

    /// Number of windows.
    pub fn windows(&self) -> usize {
        self.windows.count()
    }

    /// How far a candidate is from the reference on one window: what [`diverge`] says, bit for bit.
    ///
    /// # Errors
    /// If a session refuses a step, or a model computes nonsense.
    ///
    /// # Panics
    /// If there are not so many windows.
    pub fn diverge(&mut self, candidate: &mut Reader, index: usize) -> Result<Divergence> {
        let window = self.windows.window(index);
        let Some(kept) = self.kept.get_mut(index) else {
            return diverge(&mut self.reader, candidate, &window);
        };
        if kept.is_none() {
            let mut rows = Vec::with_capacity(window.scored().len() * self.subject.vocabulary());
            self.reader.follow(&window, |row, _| {
                rows.extend_from_slice(row);
                Ok(())
            })?;
            *kept = Some(rows);
        }
        let mut rows =
            kept.iter().flat_map(|rows| rows.chunks_exact(self.subject.vocabulary().max(1)));
        let mut divergence = Divergence::with_room(window.room());
        candidate.follow(&window, |row, next| {
            divergence.add(rows.next().unwrap_or_default(), row, next)
        })?;
        Ok(divergence)
    }
}
