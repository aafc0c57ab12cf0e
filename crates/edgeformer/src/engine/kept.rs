use std::path::Path;

use edgeformer_core::{KvCache, SequenceId};

use super::saved;
use crate::{Error, Result};

/// Caches of conversations between two turns, the least recently used first.
#[derive(Default)]
pub(super) struct KeptCaches(Vec<Kept>);

struct Kept {
    conversation: u64,
    sequence: SequenceId,
    /// What it holds.
    tokens: Vec<u32>,
}

impl KeptCaches {
    /// Keeps a sequence that holds `tokens`.
    pub fn keep(&mut self, conversation: u64, sequence: SequenceId, tokens: Vec<u32>) {
        self.0.push(Kept { conversation, sequence, tokens });
    }

    /// Gives the sequence of a conversation back, cut to what `prompt` starts with, and how many
    /// tokens that are. `None` if nothing of it is of use.
    pub fn resume(
        &mut self,
        conversation: u64,
        prompt: &[u32],
        cache: &mut dyn KvCache,
    ) -> Option<(SequenceId, usize)> {
        let kept = self.take(conversation)?;
        let common = kept.tokens.iter().zip(prompt).take_while(|(a, b)| a == b).count();
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
        let of_it = |kept: &&Kept| kept.conversation == conversation && !kept.tokens.is_empty();
        let kept = self.0.iter().find(of_it).ok_or_else(|| {
            let path = path.display();
            Error::Request(format!(
                "there is nothing to save to {path}: the conversation has no cache"
            ))
        })?;
        saved::save(path, &kept.tokens, kept.sequence, cache)?;
        Ok(kept.tokens.len())
    }

    /// Reads the cache of a conversation from a file.
    pub fn load(
        &mut self,
        conversation: u64,
        path: &Path,
        cache: &mut dyn KvCache,
    ) -> Result<usize> {
        let (sequence, tokens) = saved::load(path, cache)?;
        let count = tokens.len();
        self.keep(conversation, sequence, tokens);
        Ok(count)
    }

    fn take(&mut self, conversation: u64) -> Option<Kept> {
        let index = self.0.iter().position(|kept| kept.conversation == conversation)?;
        Some(self.0.remove(index))
    }
}
