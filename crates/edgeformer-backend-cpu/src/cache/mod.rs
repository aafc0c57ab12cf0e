//! The paged key-value cache.
//!
//! Attention needs the keys and values of earlier tokens. How many there will be is not known when
//! a session opens, sequences share their beginnings, and a sliding window forgets. So the cache is
//! made of *pages*: a page has room for the keys and values of `page_tokens` neighbouring positions.
//! A sequence owns no memory, only *tables*: lists of pages, in the order of positions.
//!
//! ```text
//! sequence 0   len 10   table  [ a  b  c ]          page b: positions 4..8, both sequences
//! sequence 1   len  9   table  [ a  b  d ]          pages c, d: positions 8..12, one each
//! ```
//!
//! - **Groups.** Cache slots of the graph that remember equally long (the same window, or none)
//!   move in step, so they share one table and one pool; a page of a group holds all its slots.
//!   A model with two kinds of layers (Gemma) has two groups.
//! - **Sharing.** Pages count their owners. [`KvCache::fork`] copies tables and raises the counts;
//!   whoever first writes into a page that others own copies it ([`reserve`](PagedCache::reserve)).
//! - **Windows are rings.** A query at position `p` sees `p + 1 - window ..= p`. When a step is
//!   reserved, pages that its oldest query cannot see go back to the pool and come out again at the
//!   young end of the table: whatever the length, a sequence holds the pages of `window + chunk`
//!   tokens. They go then and no earlier, so the last step can always be truncated away.
//! - **Latents.** A slot of latent attention has one "head" of `rank + rope_dim` elements a token
//!   on the key side and nothing on the value side.
//! - **Steps are transactions.** [`reserve`](PagedCache::reserve) finds out whether all spans fit
//!   before it changes anything; [`store`](PagedCache::store) fills the reserved positions;
//!   [`commit`](PagedCache::commit) makes them part of the sequences, and
//!   [`rollback`](PagedCache::rollback) gives them back.
//!
//! Inside a page a head's rows are contiguous: `[slot][head][token][dim]`, keys in one vector and
//! values in another. Pages are allocated when first used and kept for reuse.
//!
//! | module | |
//! |---|---|
//! | [`layout`] | which slots form a group, what a page holds, how many pages there may be |
//! | [`pages`] | the pool of a group: owners, free pages, memory |
//! | [`table`] | the pages of one sequence in one group; windows |
//! | [`reserve`] | all-or-nothing reservation, copy on write |
//! | [`runs`] | writing and reading keys and values |
//! | [`export`] | saved sequences |

mod export;
mod layout;
mod pages;
mod reserve;
mod runs;
mod table;
#[cfg(any())]
mod tests;

use std::collections::BTreeMap;
use std::io::{Read, Write};

use edgeformer_core::graph::CachePlan;
use edgeformer_core::{CacheUsage, Error, KvCache, Result, SequenceId, SessionOptions};

use layout::Layout;
use pages::Pages;
use table::Table;

pub(crate) use runs::{CacheRows, KvRun};

/// The cache of a session: see the [module](self).
pub(crate) struct PagedCache {
    layout: Layout,
    /// One pool a group, as `layout.groups`.
    pools: Vec<Pages>,
    sequences: BTreeMap<SequenceId, Sequence>,
    /// The next id to give out.
    next: u64,
    /// Spans that are reserved and not yet committed.
    reserved: Vec<(SequenceId, usize)>,
    /// Tokens that one sequence may hold.
    context: usize,
    /// Of the graph: saved sequences of others are refused.
    fingerprint: u64,
}

struct Sequence {
    /// Tokens it has seen.
    len: usize,
    /// One a group.
    tables: Vec<Table>,
}

impl PagedCache {
    /// An empty cache for a graph's slots. `fingerprint` tells the graph from others in saved
    /// sequences.
    ///
    /// # Errors
    /// If the options ask for no tokens at all, or for more than can be counted.
    pub fn new(
        plan: &CachePlan,
        options: &SessionOptions,
        fingerprint: u64,
        _kernels: &'static crate::kernels::Kernels,
    ) -> Result<Self> {
        for (what, number) in [
            ("context", options.context),
            ("sequences", options.sequences),
            ("chunk", options.chunk),
            ("page_tokens", options.page_tokens),
        ] {
            if number == 0 {
                return Err(Error::Config(format!("{what} is 0, it must be at least 1")));
            }
        }
        if options.cache_type_k.is_quantized() || options.cache_type_v.is_quantized() {
            return Err(Error::Config("cache formats below f16 are not supported yet".into()));
        }
        let layout = Layout::new(plan, options);
        layout.check()?;
        let pools = layout.groups.iter().map(|group| Pages::new(group, &layout)).collect();
        Ok(Self {
            layout,
            pools,
            sequences: BTreeMap::new(),
            next: 0,
            reserved: Vec::new(),
            context: options.context,
            fingerprint,
        })
    }

    /// Bytes that the cache takes at most, with every sequence at full length, and that one more
    /// token takes. Allocates no page.
    pub fn footprint(plan: &CachePlan, options: &SessionOptions) -> (u64, u64) {
        let layout = Layout::new(plan, options);
        (layout.bytes_limit(), layout.bytes_per_token())
    }

    /// Makes the reserved tokens part of their sequences.
    pub fn commit(&mut self) {
        for (seq, count) in self.reserved.drain(..) {
            if let Some(sequence) = self.sequences.get_mut(&seq) {
                sequence.len += count;
            }
        }
    }

    /// Gives a reservation back after a failed step; without one, does nothing. Lengths and all
    /// that later queries see are as before the reservation.
    pub fn rollback(&mut self) {
        for (seq, _) in self.reserved.drain(..) {
            if let Some(sequence) = self.sequences.get_mut(&seq) {
                sequence.trim(&mut self.pools, sequence.len, self.layout.page_tokens);
            }
        }
    }

    fn sequence(&self, seq: SequenceId) -> Result<&Sequence> {
        self.sequences.get(&seq).ok_or(Error::UnknownSequence(seq))
    }

    fn insert(&mut self, sequence: Sequence) -> SequenceId {
        let seq = SequenceId(self.next);
        self.next += 1;
        self.sequences.insert(seq, sequence);
        seq
    }
}

impl Sequence {
    fn empty(groups: usize) -> Self {
        Self { len: 0, tables: (0..groups).map(|_| Table::default()).collect() }
    }

    /// Gives back what lies at position `len` and beyond.
    fn trim(&mut self, pools: &mut [Pages], len: usize, page_tokens: usize) {
        for (table, pages) in self.tables.iter_mut().zip(pools) {
            table.trim(pages, len, page_tokens);
        }
    }
}

impl KvCache for PagedCache {
    fn create(&mut self) -> Result<SequenceId> {
        Ok(self.insert(Sequence::empty(self.pools.len())))
    }

    fn len(&self, seq: SequenceId) -> usize {
        self.sequences.get(&seq).map_or(0, |sequence| sequence.len)
    }

    /// As [`Vec::truncate`]: a `len` that is not shorter changes nothing.
    fn truncate(&mut self, seq: SequenceId, len: usize) -> Result<()> {
        self.rollback();
        let Self { layout, pools, sequences, .. } = self;
        let sequence = sequences.get_mut(&seq).ok_or(Error::UnknownSequence(seq))?;
        if len >= sequence.len {
            return Ok(());
        }
        for (table, group) in sequence.tables.iter().zip(&layout.groups) {
            if !table.can_trim(len, group.window) {
                let window = group.window.unwrap_or_default();
                return Err(Error::Step(format!(
                    "{seq} cannot be truncated to {len} of its {} tokens: a layer with a window of {window} has released positions before {}; truncate to 0, or fork before going on",
                    sequence.len,
                    table.from()
                )));
            }
        }
        sequence.trim(pools, len, layout.page_tokens);
        sequence.len = len;
        Ok(())
    }

    fn fork(&mut self, seq: SequenceId) -> Result<SequenceId> {
        self.rollback();
        let Sequence { len, ref tables } = *self.sequence(seq)?;
        let tables: Vec<Table> = tables.clone();
        for (table, pages) in tables.iter().zip(&mut self.pools) {
            table.pages().for_each(|page| pages.share(page));
        }
        Ok(self.insert(Sequence { len, tables }))
    }

    fn remove(&mut self, seq: SequenceId) {
        self.rollback();
        if let Some(mut sequence) = self.sequences.remove(&seq) {
            sequence.trim(&mut self.pools, 0, self.layout.page_tokens);
        }
    }

    fn export(&mut self, seq: SequenceId, to: &mut dyn Write) -> Result<()> {
        self.rollback();
        self.write_sequence(seq, to)
    }

    fn import(&mut self, from: &mut dyn Read) -> Result<SequenceId> {
        self.rollback();
        let sequence = self.read_sequence(from)?;
        Ok(self.insert(sequence))
    }

    fn usage(&self) -> CacheUsage {
        let groups = || self.pools.iter().zip(&self.layout.groups);
        CacheUsage {
            sequences: self.sequences.len(),
            bytes_used: groups()
                .map(|(pages, group)| pages.used() as u64 * self.layout.page_bytes(group))
                .sum(),
            bytes_limit: self.layout.bytes_limit(),
            page_tokens: self.layout.page_tokens,
            pages_used: groups().map(|(pages, group)| pages.used() * group.slots.len()).sum(),
            ..CacheUsage::default()
        }
    }
}
