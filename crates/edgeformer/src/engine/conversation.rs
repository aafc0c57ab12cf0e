use std::path::Path;
use std::sync::mpsc;

use super::generate::{GenerateOptions, Prompt};
use super::handle::Engine;
use super::stream::TextStream;
use super::work::{Command, Saved, Work};
use crate::{Error, Result};

/// Turns that share a cache, one after the other. Made by [`Engine::conversation`].
pub struct Conversation<'a> {
    engine: &'a Engine,
    id: u64,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(engine: &'a Engine, id: u64) -> Self {
        Self { engine, id }
    }

    /// Starts an answer, running only what the prompt adds to the turn before. A turn waits for
    /// the one before it.
    ///
    /// # Errors
    /// As [`Engine::generate`].
    pub fn generate<'p>(
        &self,
        prompt: impl Into<Prompt<'p>>,
        options: &GenerateOptions,
    ) -> Result<TextStream> {
        self.engine.answer(prompt.into(), options, Some(self.id))
    }

    /// Keeps the cache of the turns so far in a file, which appears whole or not at all; waits for
    /// the answer that is being written. Returns how many tokens it holds.
    ///
    /// # Errors
    /// If there was no turn yet, other sequences have taken the room of its cache, or the file
    /// cannot be written.
    pub fn save(&self, path: &Path) -> Result<usize> {
        self.ask(path, Work::Save)
    }

    /// Gives the conversation the cache that a file holds: the next turn runs what its prompt adds.
    /// Returns how many tokens that are.
    ///
    /// # Errors
    /// If the file is damaged, or was saved with another model or other options of the cache; it
    /// stays as it is.
    pub fn load(&self, path: &Path) -> Result<usize> {
        self.ask(path, Work::Load)
    }

    fn ask(&self, path: &Path, work: impl FnOnce(Saved) -> Work) -> Result<usize> {
        let (reply, inbox) = mpsc::channel();
        let saved = Saved { conversation: self.id, path: path.to_owned(), reply };
        self.engine.send(Command::Do(work(saved)))?;
        inbox.recv().map_err(|_| Error::Stopped)?
    }
}

impl Drop for Conversation<'_> {
    fn drop(&mut self) {
        // An engine that has stopped has forgotten it already.
        let _stopped = self.engine.send(Command::Forget(self.id));
    }
}
