use std::path::Path;

use edgeformer_core::{AdapterScales, KvCache, SequenceId};

use super::saved;
use crate::{Error, Result};

/// Caches of conversations between two turns, the least recently used first.
#[derive(Default)]
pub(super) struct KeptCaches(Vec<Kept>);

struct Kept {
    conversation: u64,
    sequence: SequenceId,
    seen: Seen,
}

/// What a sequence holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub tokens: Vec<u32>,
    /// How strongly adapters acted on them.
    pub adapters: AdapterScales,
}

impl KeptCaches {
    /// Keeps a sequence.
    pub fn keep(&mut self, conversation: u64, sequence: SequenceId, seen: Seen) {
        self.0.push(Kept { conversation, sequence, seen });
    }

    /// Gives the sequence of a conversation back, cut to what `prompt` starts with, and how many
    /// tokens that are. `None` if nothing of it is of use: nothing is under other adapters.
    pub fn resume(
        &mut self,
        conversation: u64,
        prompt: &[u32],
        adapters: &AdapterScales,
        cache: &mut dyn KvCache,
    ) -> Option<(SequenceId, usize)> {
        let kept = self.take(conversation)?;
        let common = match kept.seen.adapters == *adapters {
            true => kept.seen.tokens.iter().zip(prompt).take_while(|(a, b)| a == b).count(),
            false => 0,
        };
        // The last token is run again: its logits are what the answer starts from.
        let cached = common.min(prompt.len() - 1);
        // A window may have moved on too far to go back; then the prompt is run from the start.
        if cached == 0 || cache.truncate(kept.sequence, cached).is_err() {
            cache.remove(kept.sequence);
            return None;
        }
        Some((kept.sequence, cached))
    }

    /// Drops the cache of a conversation, if it has one.
    pub fn forget(&mut self, conversation: u64, cache: &mut dyn KvCache) {
        if let Some(kept) = self.take(conversation) {
            cache.remove(kept.sequence);
        }
    }

    /// Drops those that were idle longest until at most `count` are left.
    pub fn shrink_to(&mut self, count: usize, cache: &mut dyn KvCache) {
        let excess = self.0.len().saturating_sub(count);
        self.0.drain(..excess).for_each(|kept| cache.remove(kept.sequence));
    }

    /// Writes the cache of a conversation to a file.
    pub fn save(&self, conversation: u64, path: &Path, cache: &mut dyn KvCache) -> Result<usize> {
        let of_it =
            |kept: &&Kept| kept.conversation == conversation && !kept.seen.tokens.is_empty();
        let kept = self.0.iter().find(of_it).ok_or_else(|| {
            let path = path.display();
            Error::Request(format!(
                "there is nothing to save to {path}: the conversation has no cache"
            ))
        })?;
        saved::save(path, &kept.seen, kept.sequence, cache)?;
        Ok(kept.seen.tokens.len())
    }

    /// Reads the cache of a conversation from a file.
    pub fn load(
        &mut self,
        conversation: u64,
        path: &Path,
        cache: &mut dyn KvCache,
    ) -> Result<usize> {
        let (sequence, seen) = saved::load(path, cache)?;
        let count = seen.tokens.len();
        self.keep(conversation, sequence, seen);
        Ok(count)
    }

    fn take(&mut self, conversation: u64) -> Option<Kept> {
        let index = self.0.iter().position(|kept| kept.conversation == conversation)?;
        Some(self.0.remove(index))
    }
}
