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
//! - **Groups.** Heads that remember equally long (the same window, or none) move in step, so they
//!   share one table; a page of a group holds all its heads, op by op. A model with two kinds of
//!   layers (Gemma) has two groups, one with windows of its own for every head has more.
//! - **Sharing.** Pages count their owners. [`KvCache::fork`] copies tables and raises the counts;
//!   whoever first writes into a page that others own copies it ([`reserve`](PagedCache::reserve)).
//!   Sequences that begin with the same tokens share the full pages of that beginning
//!   ([`KvCache::adopt`]), and a page that nobody owns waits for one while its memory is not
//!   wanted.
//! - **Windows are rings.** A query at position `p` sees `p + 1 - window ..= p`, and the sinks at
//!   the very beginning. When a step is reserved, pages that its oldest query cannot see go back to
//!   the pool and come out again at the young end of the table: whatever the length, a sequence
//!   holds the pages of `window + chunk` tokens. They go then and no earlier, so the last step can
//!   always be truncated away.
//! - **Latents.** A slot of latent attention has one "head" of `rank + rope_dim` elements a token
//!   on the key side and nothing on the value side.
//! - **Forms.** A page is kept in the formats that the session asks for, its *main* form. Where
//!   that is quantized, the page under construction is f16, its *open* form, and is quantized as a
//!   whole when it is full. Far from the sequence's end it may have a *cold* form. What a query
//!   sees depends on its position and the page's alone
//!   ([`seen_by`](layout::Layout::seen_by)), never on how a text was cut into steps: where queries
//!   of one step differ, the page has several forms for as long.
//! - **Steps are transactions.** [`reserve`](PagedCache::reserve) finds out whether all spans fit
//!   before it changes anything; [`store`](PagedCache::store) fills the reserved positions;
//!   [`commit`](PagedCache::commit) makes them part of the sequences, and
//!   [`rollback`](PagedCache::rollback) gives them back.
//! - **Memory** of pages is mapped when they are first used and kept for reuse; with a budget, the
//!   oldest pages move to a file and are [fetched](PagedCache::fetch) op by op. Nothing is
//!   allocated by a step once its pages are there.
//!
//! | module | |
//! |---|---|
//! | [`layout`] | which heads form a group, which forms there are, what a page holds, how many there may be |
//! | [`buffer`] | memory from the system and back |
//! | [`pages`], [`pools`] | owners, free and retained pages; all pools together |
//! | [`table`] | the pages of one sequence in one group; windows and sinks |
//! | [`demand`], [`reserve`] | what a step needs, counted; all-or-nothing reservation, copy on write |
//! | [`truncate`] | going back |
//! | [`runs`] | writing, closing and reading pages |
//! | [`prefix`], [`sharing`] | which pages hold which beginnings, and who shares them |
//! | [`spill`], [`tier`] | the file; which pages go there, and how a step reads them |
//! | [`evict`] | entries and windows that follow attention |
//! | [`export`] | saved sequences |

mod buffer;
mod demand;
mod evict;
mod export;
mod layout;
mod pages;
mod pools;
mod prefix;
mod reserve;
mod runs;
mod sharing;
mod spill;
mod table;
#[cfg(test)]
mod tests;
mod tier;
mod truncate;

use std::collections::BTreeMap;
use std::io::{Read, Write};

use edgeformer_core::graph::{CachePlan, CacheSlot};
use edgeformer_core::{
    AdapterScales, CacheUsage, Error, KvCache, Result, SequenceId, SessionOptions, Window,
};

use crate::kernels::Kernels;
use demand::Demands;
use layout::Layout;
use pools::Pools;
use prefix::{NodeId, PrefixIndex, Start};
use sharing::Choices;
use table::Table;

pub(crate) use runs::KvRun;

/// Tokens of one sequence's beginning that others may share.
const SHARED_TOKENS: usize = 1 << 20;

/// The cache of a session: see the [module](self).
pub(crate) struct PagedCache {
    layout: Layout,
    pools: Pools,
    sequences: BTreeMap<SequenceId, Sequence>,
    /// The next id to give out.
    next: u64,
    /// Spans that are reserved and not yet committed.
    reserved: Vec<(SequenceId, usize)>,
    /// Of the graph: saved sequences of others are refused.
    fingerprint: u64,
    /// Saved sequences of others are refused too.
    configuration: String,
    kernels: &'static Kernels,
    /// Tokens of a sequence that are noted for sharing.
    shared_tokens: usize,
    /// Adapters that sequences have scales of.
    adapters: usize,
    /// What sequences chose among adapters.
    choices: Choices,
    /// Heads whose oldest entry is their own, because entries are evicted.
    units: usize,
    /// Windows shrink and grow.
    adapts: bool,
    /// What a change asks of the pools.
    demands: Demands,
    /// Room for a row.
    row: Vec<f32>,
    /// Room for a row as it is stored.
    record: Vec<u8>,
    /// Room for the nodes of a beginning.
    nodes: Vec<NodeId>,
}

struct Sequence {
    /// Tokens it has seen.
    len: usize,
    /// One a group.
    tables: Vec<Table>,
    /// Which tokens they were, as far as that is known.
    tokens: Vec<u32>,
    /// How strongly adapters act on it.
    adapters: AdapterScales,
    /// Where the index knows what begins under these scales.
    start: Start,
    /// The oldest entry of every head, in sessions with eviction.
    held_from: Vec<usize>,
}

impl PagedCache {
    /// An empty cache for a graph's slots. `fingerprint` tells the graph from others in saved
    /// sequences.
    ///
    /// # Errors
    /// If the options ask for no tokens at all, for more than can be counted, for what excludes
    /// each other or does not fit the budget, or the folder for spilled pages does not serve.
    pub fn new(
        plan: &CachePlan,
        options: &SessionOptions,
        fingerprint: u64,
        kernels: &'static Kernels,
    ) -> Result<Self> {
        let layout = Layout::new(plan, options)?;
        let visibility = &options.visibility;
        let adapts = matches!(visibility.window, Window::Adaptive { .. });
        let evicts = visibility.eviction.is_some();
        let shares = !adapts && !evicts && !options.observe_attention && !plan.slots.is_empty();
        let shared_tokens = if shares { options.context.min(SHARED_TOKENS) } else { 0 };
        let index = shares.then(|| PrefixIndex::new(fingerprint, layout.page_tokens, layout.pools));
        Ok(Self {
            pools: Pools::new(&layout, options, index)?,
            sequences: BTreeMap::new(),
            next: 0,
            reserved: Vec::with_capacity(options.sequences.min(1 << 10)),
            fingerprint,
            configuration: export::configuration(options, &layout),
            kernels,
            shared_tokens,
            adapters: 0,
            choices: Choices::default(),
            units: if evicts { layout.slots.iter().map(|slot| slot.heads.len()).sum() } else { 0 },
            adapts,
            demands: Demands::new(layout.pools),
            row: vec![0.0; layout.widest],
            record: Vec::with_capacity(2 * size_of::<f32>() * layout.widest),
            nodes: Vec::with_capacity(shared_tokens / layout.page_tokens),
            layout,
        })
    }

    /// The cache of a graph whose sequences have scales of so many adapters.
    pub fn for_adapters(self, adapters: usize) -> Self {
        Self { adapters, ..self }
    }

    /// Bytes that the cache has in memory at most, with every sequence at full length, and that
    /// one more token takes. Allocates no page.
    ///
    /// # Errors
    /// As [`new`](Self::new), but for the folder of spilled pages.
    pub fn footprint(plan: &CachePlan, options: &SessionOptions) -> Result<(u64, u64)> {
        let layout = Layout::new(plan, options)?;
        let resident = match layout.budget {
            Some(budget) => budget.resident + 2 * budget.buffer as u64,
            None => layout.bytes_limit(),
        };
        Ok((resident, layout.bytes_per_token()))
    }

    /// Makes the reserved tokens part of their sequences.
    pub fn commit(&mut self) {
        for index in 0..self.reserved.len() {
            let (seq, count) = self.reserved[index];
            let Some(sequence) = self.sequences.get_mut(&seq) else { continue };
            let from = sequence.len;
            sequence.len += count;
            sequence.settle(from, &self.layout, &mut self.pools);
            self.learn(seq, from);
        }
        self.reserved.clear();
        // A page that will be wanted at the next step is written while this one's end is awaited.
        if self.pools.is_short()
            && let Some((pool, page)) =
                reserve::victim(self.sequences.values(), &self.layout, &self.pools)
        {
            self.pools.move_out(pool, page);
        }
    }

    /// Gives a reservation back after a failed step; without one, does nothing. Lengths and all
    /// that later queries see are as before the reservation.
    pub fn rollback(&mut self) {
        for index in 0..self.reserved.len() {
            let (seq, _) = self.reserved[index];
            if let Some(sequence) = self.sequences.get_mut(&seq) {
                let len = sequence.len;
                sequence.trim(&self.layout, &mut self.pools, len);
                sequence.settle(len, &self.layout, &mut self.pools);
            }
        }
        self.reserved.clear();
    }

    /// Gives memory of pages that nobody owns back to the system, those that are retained for
    /// sharing included; returns how many bytes that were.
    pub fn trim(&mut self) -> u64 {
        self.pools.trim()
    }

    /// Tokens that a page holds.
    pub fn page_tokens(&self) -> usize {
        self.layout.page_tokens
    }

    /// Elements under one scale in a slot's keys, where some are codes: queries are needed in
    /// blocks of that length. `None` if all are floats.
    pub fn key_block(&self, slot: CacheSlot) -> Option<usize> {
        self.layout.slots[slot.0 as usize].key_block
    }

    /// Neighbouring elements of a slot's keys that are rotated together; queries must be rotated
    /// alike, and what is summed up of latents back.
    pub fn rotation(&self, slot: CacheSlot) -> Option<usize> {
        self.layout.slots[slot.0 as usize].rotation
    }

    /// The window that storage of a key-value head is made for: queries may see less.
    #[cfg(test)]
    pub fn window(&self, slot: CacheSlot, head: usize) -> Option<usize> {
        self.layout.groups[self.layout.place(slot, head).group].window
    }

    /// How strongly adapters act on a sequence.
    pub fn adapters(&self, seq: SequenceId) -> &AdapterScales {
        const USUAL: &AdapterScales = &AdapterScales::USUAL;
        self.sequences.get(&seq).map_or(USUAL, |sequence| &sequence.adapters)
    }

    fn sequence(&self, seq: SequenceId) -> Result<&Sequence> {
        self.sequences.get(&seq).ok_or(Error::UnknownSequence(seq))
    }

    fn table(&mut self, seq: SequenceId, group: usize) -> Result<&mut Table> {
        let sequence = self.sequences.get_mut(&seq).ok_or(Error::UnknownSequence(seq))?;
        Ok(&mut sequence.tables[group])
    }

    fn empty(&self) -> Sequence {
        Sequence::empty(&self.layout, self.shared_tokens, self.units)
    }

    fn insert(&mut self, sequence: Sequence) -> SequenceId {
        let seq = SequenceId(self.next);
        self.next += 1;
        self.sequences.insert(seq, sequence);
        seq
    }

    fn drop_sequence(&mut self, seq: SequenceId) {
        if let Some(mut sequence) = self.sequences.remove(&seq) {
            sequence.trim(&self.layout, &mut self.pools, 0);
        }
    }
}

impl KvCache for PagedCache {
    fn create(&mut self) -> Result<SequenceId> {
        let sequence = self.empty();
        Ok(self.insert(sequence))
    }

    fn len(&self, seq: SequenceId) -> usize {
        self.sequences.get(&seq).map_or(0, |sequence| sequence.len)
    }

    /// As [`Vec::truncate`]: a `len` that is not shorter changes nothing. Pages that are seen in
    /// another form at `len` are made of the form they have: exactly if all formats are floats and
    /// there is no cold one, or the last step alone is taken back.
    fn truncate(&mut self, seq: SequenceId, len: usize) -> Result<()> {
        self.rollback();
        self.shorten(seq, len)
    }

    fn fork(&mut self, seq: SequenceId) -> Result<SequenceId> {
        self.rollback();
        let sequence = self.sequences.get(&seq).ok_or(Error::UnknownSequence(seq))?;
        let groups = sequence.tables.iter().zip(&self.layout.groups);
        let tables = groups.map(|(table, group)| table.share(&mut self.pools, group)).collect();
        let mut copy = Sequence { tables, ..self.empty() };
        copy.len = sequence.len;
        (copy.adapters, copy.start) = (sequence.adapters.clone(), sequence.start);
        copy.tokens.extend_from_slice(&sequence.tokens);
        copy.held_from.copy_from_slice(&sequence.held_from);
        Ok(self.insert(copy))
    }

    fn adopt(&mut self, seq: SequenceId, tokens: &[u32]) -> Result<usize> {
        self.rollback();
        self.adopt_beginning(seq, tokens)
    }

    fn set_adapters(&mut self, seq: SequenceId, scales: &AdapterScales) -> Result<()> {
        self.rollback();
        self.choose_adapters(seq, scales)
    }

    fn remove(&mut self, seq: SequenceId) {
        self.rollback();
        self.drop_sequence(seq);
    }

    fn export(&mut self, seq: SequenceId, to: &mut dyn Write) -> Result<()> {
        self.rollback();
        self.write_sequence(seq, to)
    }

    fn import(&mut self, from: &mut dyn Read) -> Result<SequenceId> {
        self.rollback();
        self.read_sequence(from)
    }

    fn usage(&self) -> CacheUsage {
        let pools = || self.pools.all.iter();
        let bytes = |count: usize, bytes: usize| count as u64 * bytes as u64;
        let used: u64 = pools().map(|pages| bytes(pages.used(), pages.bytes)).sum();
        let spilled = self.pools.tier.as_ref().map_or(0, |tier| tier.spill.bytes());
        let groups = self.layout.groups.iter();
        let pages_used = groups.flat_map(|group| {
            let pools = layout::Form::ALL.into_iter().filter_map(|form| group.pool(form));
            pools.map(|pool| self.pools.all[pool].used() * group.parts.len())
        });
        CacheUsage {
            sequences: self.sequences.len(),
            bytes_used: used,
            bytes_resident: used - spilled,
            bytes_spilled: spilled,
            bytes_retained: pools().map(|pages| bytes(pages.retained(), pages.bytes)).sum(),
            bytes_limit: self.layout.bytes_limit(),
            page_tokens: self.layout.page_tokens,
            pages_used: pages_used.sum(),
        }
    }
}
