use std::path::PathBuf;
use std::sync::mpsc::Sender;

use edgeformer_core::{AttentionMass, CacheUsage};

use super::evaluate::{Evaluation, OwnedInput};
use super::sequence::Job;
use crate::Result;

/// What the handle asks of the worker.
pub(super) enum Command {
    Do(Work),
    /// A conversation is over.
    Forget(u64),
    /// Answered between two steps.
    Ask(Question),
}

/// What the worker knows of its session.
pub(super) enum Question {
    Usage(Sender<CacheUsage>),
    Trim(Sender<u64>),
    Mass(Sender<Option<AttentionMass>>),
}

/// What takes a sequence.
pub(super) enum Work {
    Generate(Box<Job>),
    Evaluate(OwnedInput, Sender<Result<Evaluation>>),
    /// Keeps the cache of a conversation in a file.
    Save(Saved),
    /// Gives a conversation the cache that a file holds.
    Load(Saved),
}

/// The file of a conversation's cache; the answer is the number of its tokens.
pub(super) struct Saved {
    pub conversation: u64,
    pub path: PathBuf,
    pub reply: Sender<Result<usize>>,
}

impl Work {
    /// The conversation that it is a part of. Its parts are done one after the other.
    pub fn conversation(&self) -> Option<u64> {
        match self {
            Self::Generate(job) => job.conversation,
            Self::Evaluate(..) => None,
            Self::Save(saved) | Self::Load(saved) => Some(saved.conversation),
        }
    }
}
