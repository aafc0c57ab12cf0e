//! Entries by the attention they received; the rest is dropped.
//!
//! What stays moves up to the positions directly before the sequence's end, so that a sequence
//! with gaps looks to the cache like one that begins late. Keys keep the rotation of the place
//! they came from.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use edgeformer_core::graph::{CacheSlot, SlotPlan};
use edgeformer_core::saved::Hashing;
use edgeformer_core::{Eviction, EvictionPolicy, Graph, Result, SequenceId};

use super::super::rows::SpanRows;
use super::{Gathers, mass};
use crate::cache::PagedCache;

/// Queries at the end of a prompt that vote (SnapKV, arXiv 2404.14469, section 4.1).
const VOTERS: usize = 32;
/// Neighbours that share the largest vote among them (there, `kernel_size`).
const POOLED: usize = 7;

/// What entries received.
pub(crate) struct Votes {
    eviction: Eviction,
    sequences: BTreeMap<SequenceId, Received>,
    /// Query heads by slot.
    heads: Vec<usize>,
    /// Key-value heads by slot.
    kv_heads: Vec<usize>,
    /// Slots without a window: the others forget by themselves.
    full: Vec<usize>,
    /// Rows of votes by slot: one a key-value head; of latents one a query head, of which each
    /// block of heads uses its first.
    rows: Vec<usize>,
    context: usize,
    page_tokens: usize,
    // What choosing works in.
    ranked: Vec<(f32, usize)>,
    kept: Vec<usize>,
    summed: Vec<f32>,
    pooled: Vec<f32>,
}

/// What the entries of a sequence received.
#[derive(Clone)]
struct Received {
    /// By slot, block of heads and position.
    votes: Vec<Vec<f32>>,
    /// Queries at such positions vote.
    voters: usize,
    /// SnapKV: the prompt was cut.
    cut: bool,
}

impl Votes {
    pub fn new(graph: &Graph, eviction: Eviction, context: usize, page_tokens: usize) -> Self {
        let heads: Vec<usize> = mass::heads(graph).collect();
        let slots = || graph.cache.slots.iter().zip(&heads);
        let kv_heads = slots().map(|(slot, _)| match slot {
            SlotPlan::KeyValue { heads, .. } => *heads,
            SlotPlan::Latent { .. } => 1,
        });
        let rows = slots().map(|(slot, &query_heads)| match slot {
            SlotPlan::KeyValue { heads, .. } => *heads,
            SlotPlan::Latent { .. } => query_heads,
        });
        let full = (0..heads.len()).filter(|&slot| graph.cache.slots[slot].window().is_none());
        Self {
            eviction,
            sequences: BTreeMap::new(),
            kv_heads: kv_heads.collect(),
            rows: rows.collect(),
            full: full.collect(),
            heads,
            context,
            page_tokens,
            ranked: Vec::with_capacity(context),
            kept: Vec::with_capacity(context),
            summed: Vec::with_capacity(context),
            pooled: Vec::with_capacity(context),
        }
    }

    pub fn begin(&mut self, span: &SpanRows) {
        let policy = self.eviction.policy;
        let received = self.received(span.sequence);
        received.voters = match policy {
            EvictionPolicy::H2o => 0,
            EvictionPolicy::SnapKv if received.cut || span.wanted.is_empty() => usize::MAX,
            EvictionPolicy::SnapKv => (span.first + span.tokens.len()).saturating_sub(VOTERS),
        };
    }

    /// What a sequence received; nothing yet, if it is new.
    fn received(&mut self, sequence: SequenceId) -> &mut Received {
        let Self { rows, context, .. } = self;
        self.sequences.entry(sequence).or_insert_with(|| {
            let votes = rows.iter().map(|rows| vec![0.0; rows * *context]).collect();
            Received { votes, voters: 0, cut: false }
        })
    }

    pub fn gather(&mut self, slot: CacheSlot, sequence: SequenceId, block: usize) -> Gathers<'_> {
        let slot = slot.0 as usize;
        let Some(Received { votes, voters, .. }) = self.sequences.get_mut(&sequence) else {
            return Gathers::None;
        };
        let each = votes[slot].len() / (self.heads[slot] / block);
        Gathers::Votes { blocks: votes[slot].chunks_exact_mut(each), voters: *voters }
    }

    /// Drops what may go, once there is a page of it. Entries that a fork shares are copied first;
    /// while there is no room for that, nothing is dropped.
    pub fn evict(&mut self, span: &SpanRows, cache: &mut PagedCache) {
        let sequence = span.sequence;
        let end = span.first + span.tokens.len();
        let Some(mut received) = self.sequences.remove(&sequence) else { return };
        let snap = self.eviction.policy == EvictionPolicy::SnapKv;
        let due = !snap || (!received.cut && !span.wanted.is_empty());
        if due && self.cut(sequence, &mut received, end, cache).is_ok() {
            received.cut |= snap;
        }
        self.sequences.insert(sequence, received);
    }

    fn cut(
        &mut self,
        sequence: SequenceId,
        received: &mut Received,
        end: usize,
        cache: &mut PagedCache,
    ) -> Result<()> {
        let Some(&first) = self.full.first() else { return Ok(()) };
        let oldest = cache.oldest(CacheSlot(first as u32), 0, sequence);
        let surplus = (end - oldest).saturating_sub(self.eviction.keep);
        let dropped = surplus / self.page_tokens * self.page_tokens;
        if dropped == 0 {
            return Ok(());
        }
        let stay = end - oldest - dropped;
        for index in 0..self.full.len() {
            let slot = self.full[index];
            for head in 0..self.kv_heads[slot] {
                self.choose(received, slot, head, oldest, end, stay);
                cache.compact(CacheSlot(slot as u32), head, sequence, &self.kept)?;
                self.move_votes(received, slot, head, end);
            }
        }
        cache.release_front(sequence, oldest + dropped);
        Ok(())
    }

    /// Fills `kept` with the `stay` positions of a head that stay, ascending.
    fn choose(
        &mut self,
        received: &Received,
        slot: usize,
        head: usize,
        oldest: usize,
        end: usize,
        stay: usize,
    ) {
        self.sum_votes(received, slot, head, oldest, end);
        let newest = match self.eviction.policy {
            EvictionPolicy::H2o => stay / 2,
            EvictionPolicy::SnapKv => VOTERS.min(stay),
        };
        let pooled = if self.eviction.policy == EvictionPolicy::SnapKv { POOLED } else { 1 };
        pool(&self.summed, pooled, &mut self.pooled);
        let heavy = stay - newest;
        self.ranked.clear();
        let old = &self.pooled[..end - newest - oldest];
        self.ranked.extend(old.iter().copied().zip(oldest..));
        if heavy < self.ranked.len() {
            // The heaviest first; of equal ones the newest.
            self.ranked
                .select_nth_unstable_by(heavy, |a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        }
        self.kept.clear();
        self.kept.extend(self.ranked[..heavy].iter().map(|&(_, position)| position));
        self.kept.sort_unstable();
        self.kept.extend(end - newest..end);
    }

    /// Fills `summed` with what the positions received from all query heads of a head.
    fn sum_votes(
        &mut self,
        received: &Received,
        slot: usize,
        head: usize,
        oldest: usize,
        end: usize,
    ) {
        let blocks = self.of_head(slot, head);
        self.summed.clear();
        self.summed.resize(end - oldest, 0.0);
        for block in blocks {
            let votes = &received.votes[slot][block * self.context..][oldest..end];
            self.summed.iter_mut().zip(votes).for_each(|(sum, vote)| *sum += vote);
        }
    }

    /// Blocks of query heads that read a key-value head.
    fn of_head(&self, slot: usize, head: usize) -> std::ops::Range<usize> {
        let each = self.rows[slot] / self.kv_heads[slot];
        head * each..(head + 1) * each
    }

    /// What stayed keeps its votes, at the places it moved to.
    fn move_votes(&self, received: &mut Received, slot: usize, head: usize, end: usize) {
        let first = end - self.kept.len();
        for block in self.of_head(slot, head) {
            let votes = &mut received.votes[slot][block * self.context..][..self.context];
            // Every entry moves up, or stays: the last goes first.
            for (to, &from) in (first..end).zip(&self.kept).rev() {
                votes[to] = votes[from];
            }
            votes[..first].fill(0.0);
        }
    }

    pub fn fork(&mut self, from: SequenceId, to: SequenceId) {
        if let Some(received) = self.sequences.get(&from).cloned() {
            self.sequences.insert(to, received);
        }
    }

    pub fn truncate(&mut self, sequence: SequenceId, len: usize) {
        let context = self.context;
        if let Some(received) = self.sequences.get_mut(&sequence) {
            let by_block = received.votes.iter_mut().flat_map(|votes| votes.chunks_mut(context));
            by_block.for_each(|votes| votes[len.min(context)..].fill(0.0));
        }
    }

    pub fn remove(&mut self, sequence: SequenceId) {
        self.sequences.remove(&sequence);
    }

    /// Whether anything is remembered of a sequence.
    pub fn knows(&self, sequence: SequenceId) -> bool {
        self.sequences.contains_key(&sequence)
    }

    /// Writes what a sequence of `len` tokens received.
    pub fn write(
        &self,
        sequence: SequenceId,
        len: usize,
        to: &mut Hashing<&mut (dyn Write + '_)>,
    ) -> Result<()> {
        let Some(received) = self.sequences.get(&sequence) else { return Ok(()) };
        to.number(usize::from(received.cut))?;
        let by_block = received.votes.iter().flat_map(|votes| votes.chunks(self.context));
        by_block.into_iter().try_for_each(|votes| to.floats(&votes[..len]))
    }

    /// Reads what a sequence of `len` tokens received.
    pub fn read(
        &mut self,
        sequence: SequenceId,
        len: usize,
        from: &mut Hashing<&mut (dyn Read + '_)>,
    ) -> Result<()> {
        let context = self.context;
        let received = self.received(sequence);
        received.cut = from.at_most(1, "whether the prompt was cut")? == 1;
        let by_block = received.votes.iter_mut().flat_map(|votes| votes.chunks_mut(context));
        by_block
            .into_iter()
            .try_for_each(|votes| from.floats(&mut votes[..len], "an attention weight"))
    }
}

/// Every vote becomes the largest of `width` neighbours around it.
fn pool(votes: &[f32], width: usize, pooled: &mut Vec<f32>) {
    let around = width / 2;
    pooled.clear();
    pooled.extend((0..votes.len()).map(|at| {
        let near = at.saturating_sub(around)..votes.len().min(at + around + 1);
        votes[near].iter().copied().fold(0.0, f32::max)
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_the_largest_vote() {
        let votes = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.5];
        let mut pooled = Vec::new();
        pool(&votes, POOLED, &mut pooled);
        assert_eq!(pooled, [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5]);
    }
}
