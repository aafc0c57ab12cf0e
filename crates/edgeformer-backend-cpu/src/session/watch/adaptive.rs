//! Windows that follow attention.
//!
//! At the end of every page of queries a layer looks at the share of attention that the oldest
//! eighth of its window got from them (of the head that looks back most). Much of it: something
//! lies behind the edge, the window grows by a quarter. Next to nothing: it shrinks by a fifth.
//! Between the two it stays, so that it does not swing. What a window has let go does not come
//! back: it grows as new tokens come.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::ops::Range;

use edgeformer_core::graph::CacheSlot;
use edgeformer_core::saved::{Hashing, refused};
use edgeformer_core::{Graph, Result, SequenceId};

use super::super::rows::SpanRows;
use super::{Gathers, mass};
use crate::cache::PagedCache;

/// A window grows when its oldest eighth gets more than this; with even attention it would get an
/// eighth.
const MUCH: f32 = 0.04;
/// It shrinks when its oldest eighth gets less than this.
const LITTLE: f32 = 0.01;

/// How a window lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Positions before it were let go.
    oldest: usize,
    /// Tokens that it should hold.
    target: usize,
}

impl Bound {
    /// Where the window of a query at `position` begins.
    pub fn from(self, position: usize) -> usize {
        self.oldest.max((position + 1).saturating_sub(self.target))
    }
}

/// The windows of all sequences.
pub(crate) struct AdaptiveWindows {
    sequences: BTreeMap<SequenceId, Vec<LayerWindow>>,
    /// Query heads by slot.
    heads: Vec<usize>,
    least: usize,
    most: usize,
    page_tokens: usize,
    /// By block of heads and query of a page.
    shares: Vec<f32>,
}

/// The window of one layer.
#[derive(Debug, PartialEq)]
struct LayerWindow {
    /// Full pages of queries.
    pages: usize,
    /// Tokens that it should hold after each of the last full pages.
    targets: VecDeque<u32>,
    /// So many of them: as many as a sequence can be truncated by.
    remembered: usize,
    /// The oldest position that it holds.
    from: usize,
    /// The largest share of the blocks of heads, of each query of the page under way.
    page: Vec<f32>,
}

impl LayerWindow {
    /// The window of a new sequence; it has room for all that it will remember.
    fn new(most: usize, page_tokens: usize) -> Self {
        let remembered = most / page_tokens + 2;
        let targets = VecDeque::with_capacity(remembered);
        Self { pages: 0, targets, remembered, from: 0, page: Vec::with_capacity(page_tokens) }
    }

    /// The same window of another sequence, with as much room.
    fn fork(&self, most: usize, page_tokens: usize) -> Self {
        let mut fork = Self::new(most, page_tokens);
        (fork.pages, fork.from) = (self.pages, self.from);
        fork.targets.extend(&self.targets);
        fork.page.extend_from_slice(&self.page);
        fork
    }

    /// A sequence begins with the widest window.
    fn target(&self, most: usize) -> usize {
        self.targets.back().map_or(most, |&target| target as usize)
    }

    /// Ends a page of queries.
    fn push(&mut self, target: usize) {
        if self.targets.len() == self.remembered {
            self.targets.pop_front();
        }
        self.targets.push_back(target as u32);
        self.pages += 1;
        self.page.clear();
    }

    fn truncate(&mut self, len: usize, page_tokens: usize) {
        let pages = len / page_tokens;
        // Of an earlier page under way nothing is known any more.
        self.page.truncate(if self.pages == pages { len % page_tokens } else { 0 });
        let gone = self.pages.saturating_sub(pages);
        self.targets.truncate(self.targets.len().saturating_sub(gone));
        self.pages = self.pages.min(pages);
        self.from = self.from.min(len);
    }

    fn write(&self, to: &mut Hashing<&mut (dyn Write + '_)>) -> Result<()> {
        to.number(self.pages)?;
        to.number(self.from)?;
        to.number(self.targets.len())?;
        for &target in &self.targets {
            to.number(target as usize)?;
        }
        to.number(self.page.len())?;
        to.floats(&self.page)
    }

    /// The window of a sequence of `len` tokens, into a fresh one.
    fn read(
        &mut self,
        from: &mut Hashing<&mut (dyn Read + '_)>,
        len: usize,
        bounds: Range<usize>,
        page_tokens: usize,
    ) -> Result<()> {
        self.pages = from.at_most(len / page_tokens, "pages that a window has seen")?;
        self.from = from.at_most(len, "where a window begins")?;
        for _ in 0..from.at_most(self.remembered, "sizes of a window")? {
            let target = from.at_most(bounds.end, "the size of a window")?;
            if target < bounds.start {
                return Err(refused(format!(
                    "the size of a window: {target}, at least {}: it is damaged",
                    bounds.start
                )));
            }
            self.targets.push_back(target as u32);
        }
        let under_way = from.at_most(len % page_tokens, "queries of a page under way")?;
        self.page.resize(under_way, 0.0);
        from.floats(&mut self.page, "an attention weight")
    }
}

impl AdaptiveWindows {
    pub fn new(graph: &Graph, bounds: Range<usize>, page_tokens: usize) -> Self {
        let heads: Vec<usize> = mass::heads(graph).collect();
        let most_blocks = heads.iter().copied().max().unwrap_or(0);
        Self {
            sequences: BTreeMap::new(),
            least: bounds.start,
            most: bounds.end,
            page_tokens,
            shares: vec![0.0; most_blocks * page_tokens],
            heads,
        }
    }

    pub fn begin(&mut self, sequence: SequenceId) {
        let Self { heads, most, page_tokens, .. } = self;
        let layer = |_: &usize| LayerWindow::new(*most, *page_tokens);
        self.sequences.entry(sequence).or_insert_with(|| heads.iter().map(layer).collect());
    }

    /// The end of the page of queries that a position lies in.
    pub fn page_end(&self, position: usize) -> usize {
        (position / self.page_tokens + 1) * self.page_tokens
    }

    /// How the window of a layer lies for the queries to come.
    pub fn bound(&self, slot: CacheSlot, sequence: SequenceId) -> Bound {
        let start = Bound { oldest: 0, target: self.most };
        self.sequences.get(&sequence).map_or(start, |layers| {
            let layer = &layers[slot.0 as usize];
            Bound { oldest: layer.from, target: layer.target(self.most) }
        })
    }

    /// Lets the cache release what no query of the sequence will see.
    pub fn release(&self, span: &SpanRows, cache: &mut PagedCache) {
        let next = span.first + span.tokens.len();
        for slot in (0..self.heads.len() as u32).map(CacheSlot) {
            let from = self.bound(slot, span.sequence).from(next);
            cache.hold_from(slot, span.sequence, from);
        }
    }

    pub fn gather(
        &mut self,
        slot: CacheSlot,
        positions: Range<usize>,
        block: usize,
    ) -> Gathers<'_> {
        let blocks = self.heads[slot.0 as usize] / block;
        let shares = &mut self.shares[..blocks * self.page_tokens];
        shares.fill(0.0);
        let blocks = shares.chunks_exact_mut(self.page_tokens);
        Gathers::Oldest { blocks, first: positions.start, heads: block }
    }

    /// Looks at what the queries at `positions`, of one page, gave.
    pub fn segment_done(&mut self, slot: CacheSlot, sequence: SequenceId, positions: Range<usize>) {
        let (least, most, page_tokens) = (self.least, self.most, self.page_tokens);
        let Some(layers) = self.sequences.get_mut(&sequence) else { return };
        let layer = &mut layers[slot.0 as usize];
        let largest = |row: usize| {
            let of_blocks = self.shares.chunks_exact(page_tokens).map(|shares| shares[row]);
            of_blocks.take(self.heads[slot.0 as usize]).fold(0.0, f32::max)
        };
        layer.page.extend((0..positions.len()).map(largest));
        let target = layer.target(most);
        layer.from = layer.from.max(positions.end.saturating_sub(target));
        if positions.end.is_multiple_of(page_tokens) {
            let share = layer.page.iter().sum::<f32>() / layer.page.len().max(1) as f32;
            let full = positions.end >= target;
            let next = if full { resized(target, share, least, most) } else { target };
            layer.push(next);
        }
    }

    pub fn fork(&mut self, from: SequenceId, to: SequenceId) {
        let Self { most, page_tokens, .. } = *self;
        if let Some(layers) = self.sequences.get(&from) {
            let layers = layers.iter().map(|layer| layer.fork(most, page_tokens)).collect();
            self.sequences.insert(to, layers);
        }
    }

    pub fn truncate(&mut self, sequence: SequenceId, len: usize) {
        let layers = self.sequences.get_mut(&sequence).into_iter().flatten();
        layers.for_each(|layer| layer.truncate(len, self.page_tokens));
    }

    pub fn remove(&mut self, sequence: SequenceId) {
        self.sequences.remove(&sequence);
    }

    /// Whether anything is remembered of a sequence.
    pub fn knows(&self, sequence: SequenceId) -> bool {
        self.sequences.contains_key(&sequence)
    }

    /// Writes how the windows of a sequence lie.
    pub fn write(
        &self,
        sequence: SequenceId,
        to: &mut Hashing<&mut (dyn Write + '_)>,
    ) -> Result<()> {
        self.sequences.get(&sequence).into_iter().flatten().try_for_each(|layer| layer.write(to))
    }

    /// Reads how the windows of a sequence of `len` tokens lie.
    pub fn read(
        &mut self,
        sequence: SequenceId,
        len: usize,
        from: &mut Hashing<&mut (dyn Read + '_)>,
    ) -> Result<()> {
        self.begin(sequence);
        let (bounds, page_tokens) = (self.least..self.most, self.page_tokens);
        let layers = self.sequences.get_mut(&sequence).into_iter().flatten();
        for layer in layers {
            layer.read(from, len, bounds.clone(), page_tokens)?;
        }
        Ok(())
    }
}

/// The window after a page of queries whose oldest eighth got this share.
fn resized(target: usize, share: f32, least: usize, most: usize) -> usize {
    let next = match share {
        share if share > MUCH => target + target.div_ceil(4),
        share if share < LITTLE => target - target / 5,
        _ => target,
    };
    next.clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::super::Gather;
    use super::*;

    #[test]
    fn windows_grow_and_shrink_between_their_bounds() {
        assert_eq!(resized(100, 0.05, 50, 400), 125);
        assert_eq!(resized(100, 0.02, 50, 400), 100);
        assert_eq!(resized(100, 0.001, 50, 400), 80);
        assert_eq!(resized(390, 0.5, 50, 400), 400);
        assert_eq!(resized(55, 0.0, 50, 400), 50);
    }

    fn windows() -> AdaptiveWindows {
        AdaptiveWindows {
            sequences: BTreeMap::new(),
            heads: vec![2],
            least: 4,
            most: 16,
            page_tokens: 4,
            shares: vec![0.0; 8],
        }
    }

    /// Gives every query of the page the same share.
    fn page(windows: &mut AdaptiveWindows, first: usize, share: f32) -> usize {
        let (slot, sequence) = (CacheSlot(0), SequenceId(0));
        windows.begin(sequence);
        for gather in windows.gather(slot, first..first + 4, 1) {
            let Gather::Oldest { shares, .. } = gather else { panic!("another gatherer") };
            shares.fill(share);
        }
        windows.segment_done(slot, sequence, first..first + 4);
        windows.bound(slot, sequence).from(first + 4)
    }

    #[test]
    fn a_layer_lets_go_what_nobody_attends() {
        let mut windows = windows();
        for first in [0, 4, 8] {
            assert_eq!(page(&mut windows, first, 0.0), 0, "not full yet");
        }
        // Full at 16 tokens: the target becomes 13, then 11.
        assert_eq!(page(&mut windows, 12, 0.0), 4);
        assert_eq!(page(&mut windows, 16, 0.0), 10);
        assert_eq!(windows.bound(CacheSlot(0), SequenceId(0)).from(21), 11);
        // It grows, but what it let go stays away.
        let from = page(&mut windows, 20, 0.5);
        assert_eq!(from, 13);
        windows.fork(SequenceId(0), SequenceId(1));
        windows.truncate(SequenceId(1), 17);
        assert_eq!(windows.sequences[&SequenceId(1)][0].targets, [16, 16, 16, 13]);
        windows.remove(SequenceId(0));
        assert_eq!(windows.sequences.len(), 1);
    }
}
