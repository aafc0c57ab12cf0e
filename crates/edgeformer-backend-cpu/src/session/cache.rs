//! The cache of a session: pages, and what is remembered of sequences besides.

use std::io::{Read, Write};

use edgeformer_core::{AdapterScales, CacheUsage, KvCache, Result, SequenceId};

use super::watch::Watch;
use crate::cache::PagedCache;

/// See the [module](self).
pub(super) struct SessionCache {
    pub pages: PagedCache,
    pub watch: Watch,
}

impl KvCache for SessionCache {
    fn create(&mut self) -> Result<SequenceId> {
        self.pages.create()
    }

    fn len(&self, seq: SequenceId) -> usize {
        self.pages.len(seq)
    }

    fn truncate(&mut self, seq: SequenceId, len: usize) -> Result<()> {
        self.pages.truncate(seq, len)?;
        self.watch.truncated(seq, len);
        Ok(())
    }

    fn fork(&mut self, seq: SequenceId) -> Result<SequenceId> {
        let fork = self.pages.fork(seq)?;
        self.watch.forked(seq, fork);
        Ok(fork)
    }

    fn adopt(&mut self, seq: SequenceId, tokens: &[u32]) -> Result<usize> {
        self.pages.adopt(seq, tokens)
    }

    fn set_adapters(&mut self, seq: SequenceId, scales: &AdapterScales) -> Result<()> {
        self.pages.set_adapters(seq, scales)
    }

    fn remove(&mut self, seq: SequenceId) {
        self.pages.remove(seq);
        self.watch.removed(seq);
    }

    fn export(&mut self, seq: SequenceId, to: &mut dyn Write) -> Result<()> {
        self.pages.export(seq, to)?;
        self.watch.write(seq, self.pages.len(seq), to)
    }

    fn import(&mut self, from: &mut dyn Read) -> Result<SequenceId> {
        let seq = self.pages.import(from)?;
        if let Err(error) = self.watch.read(seq, self.pages.len(seq), from) {
            self.remove(seq);
            return Err(error);
        }
        Ok(seq)
    }

    fn usage(&self) -> CacheUsage {
        self.pages.usage()
    }
}
