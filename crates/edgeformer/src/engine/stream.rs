use std::sync::mpsc::Receiver;

use serde::Serialize;

use super::Stats;
use crate::{Error, Result};

/// An answer as it is written: an iterator over pieces of text. Dropping it ends the generation.
#[derive(Debug)]
pub struct TextStream {
    events: Receiver<Event>,
    finish: Option<Finish>,
    ended: bool,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Finish {
    /// Why.
    pub reason: FinishReason,
    /// How fast it was.
    pub stats: Stats,
    /// The tokens of the answer, an end token included.
    pub tokens: Vec<u32>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model said so, or a stop text came.
    Stop,
    /// As many tokens as were asked for, or the context is full.
    Length,
}

/// What the worker tells a stream.
#[derive(Debug)]
pub(super) enum Event {
    Text(String),
    Finished(Finish),
    Failed(Error),
}

impl TextStream {
    pub(super) fn new(events: Receiver<Event>) -> Self {
        Self { events, finish: None, ended: false }
    }

    /// How the answer ended, once the iterator has.
    pub fn finish(&self) -> Option<&Finish> {
        self.finish.as_ref()
    }

    /// The rest of the answer as one text.
    ///
    /// # Errors
    /// The error that ended the answer early.
    pub fn text(&mut self) -> Result<String> {
        self.by_ref().collect()
    }
}

impl Iterator for TextStream {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.events.recv() {
            Ok(Event::Text(text)) => Some(Ok(text)),
            Ok(Event::Finished(finish)) => {
                (self.finish, self.ended) = (Some(finish), true);
                None
            }
            Ok(Event::Failed(error)) => {
                self.ended = true;
                Some(Err(error))
            }
            Err(_) => {
                self.ended = true;
                Some(Err(Error::Stopped))
            }
        }
    }
}
