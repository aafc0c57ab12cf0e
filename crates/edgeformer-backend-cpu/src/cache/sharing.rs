//! Sequences that begin alike share the pages of their beginning.
//!
//! The session says which tokens a step adds ([`note_tokens`](PagedCache::note_tokens)). When a
//! page is full of known tokens, the [index](super::prefix) learns which pages hold it, in every
//! group and form. A page that nobody owns any more stays for whoever begins alike, until its
//! memory is wanted. The index never names a page with another content: a page is struck off
//! before it is written or taken for something else.

use std::collections::VecDeque;

use edgeformer_core::{AdapterScales, Error, Result, SequenceId};

use super::layout::{Form, Group, Layout};
use super::pages::PageId;
use super::prefix::{NodeId, Place, Start};
use super::table::Entry;
use super::{PagedCache, Sequence};

impl PagedCache {
    /// Says which tokens a reserved span adds. Spans of which nothing is said are not shared, nor
    /// is anything behind them.
    pub fn note_tokens(&mut self, seq: SequenceId, tokens: &[u32]) {
        let Some(sequence) = self.sequences.get_mut(&seq) else { return };
        // Whoever streams without end shares its beginning.
        let known = sequence.tokens.len() == sequence.len;
        let room = sequence.len + tokens.len() <= self.shared_tokens;
        if self.pools.index.is_some() && known && room {
            sequence.tokens.extend_from_slice(tokens);
        }
    }

    /// Tells the index which pages a sequence has filled since it had `from` tokens.
    pub(super) fn learn(&mut self, seq: SequenceId, from: usize) {
        let Self { layout, pools, sequences, .. } = self;
        let (Some(sequence), Some(index)) = (sequences.get_mut(&seq), &mut pools.index) else {
            return;
        };
        // What was noted and not computed is forgotten.
        sequence.tokens.truncate(sequence.len);
        let page_tokens = layout.page_tokens;
        if sequence.tokens.len() < sequence.len || from / page_tokens == sequence.len / page_tokens
        {
            return;
        }
        let mut place = Place::Start(sequence.start);
        for (number, tokens) in sequence.tokens.chunks_exact(page_tokens).enumerate() {
            let Some(own) = index.insert(place, tokens) else { return };
            place = Place::Behind(own);
            for (table, group) in sequence.tables.iter().zip(&layout.groups) {
                let entry = table.entry(number, group).copied().unwrap_or_default();
                let closed = entry.forms().filter(|(form, _)| *form != Form::Open);
                for (form, page) in closed {
                    let pool = group.of_form(form).pool;
                    // The first that holds it is as good as any.
                    if index.page(own, pool).is_none() && pools.all[pool].node(page).is_none() {
                        index.set_page(own, pool, page.number());
                        pools.all[pool].set_node(page, Some(own));
                    }
                }
            }
        }
    }

    /// See [`KvCache::adopt`](edgeformer_core::KvCache::adopt).
    pub(super) fn adopt_beginning(&mut self, seq: SequenceId, tokens: &[u32]) -> Result<usize> {
        if self.sequence(seq)?.len > 0 {
            return Err(Error::Step(format!("{seq} is not empty")));
        }
        self.find_nodes(self.sequence(seq)?.start, tokens);
        let Self { layout, pools, sequences, nodes, .. } = self;
        let Some(sequence) = sequences.get_mut(&seq) else { return Ok(0) };
        let Some(index) = &pools.index else { return Ok(0) };
        let held = |pages: &usize| {
            layout.groups.iter().all(|group| {
                let mut numbers = seen(group, *pages);
                numbers.all(|number| find(layout, index, group, nodes, number, *pages).is_some())
            })
        };
        let pages = (1..=nodes.len()).rev().find(held).unwrap_or(0);
        for (table, group) in sequence.tables.iter_mut().zip(&layout.groups) {
            let first = visible_page(group, pages);
            table.start_at(if first > group.sink_pages { first * group.page_tokens } else { 0 });
            for number in seen(group, pages) {
                let Some(index) = &pools.index else { continue };
                let found = find(layout, index, group, nodes, number, pages);
                let Some((form, page)) = found else { continue };
                pools.share(group.of_form(form).pool, page);
                let mut entry = Entry::default();
                entry.set(form, Some(page));
                table.push(entry, group);
            }
        }
        sequence.len = pages * layout.page_tokens;
        sequence.tokens.clear();
        sequence.tokens.extend_from_slice(&tokens[..sequence.len]);
        Ok(sequence.len)
    }

    /// See [`KvCache::set_adapters`](edgeformer_core::KvCache::set_adapters).
    pub(super) fn choose_adapters(
        &mut self,
        seq: SequenceId,
        scales: &AdapterScales,
    ) -> Result<()> {
        scales.check(self.adapters)?;
        let sequence = self.sequences.get_mut(&seq).ok_or(Error::UnknownSequence(seq))?;
        if sequence.adapters == *scales {
            return Ok(());
        }
        sequence.start = self.choices.start(scales);
        sequence.adapters = scales.clone();
        // What was computed under other scales is not what others look for.
        sequence.tokens.clear();
        Ok(())
    }

    /// The nodes of the known beginning of `tokens`, page by page.
    fn find_nodes(&mut self, start: Start, tokens: &[u32]) {
        self.nodes.clear();
        let Some(index) = &self.pools.index else { return };
        let tokens = &tokens[..tokens.len().min(self.shared_tokens)];
        for page in tokens.chunks_exact(self.layout.page_tokens) {
            let place = self.nodes.last().map_or(Place::Start(start), |&node| Place::Behind(node));
            match index.find(place, page) {
                Some(node) => self.nodes.push(node),
                None => return,
            }
        }
    }
}

/// Choices among adapters whose beginnings are told apart for sharing.
pub(super) const REMEMBERED: usize = 64;

/// The places in the index where sequences with the same scales of adapters begin.
#[derive(Debug, Default)]
pub(super) struct Choices {
    /// The last used behind.
    remembered: VecDeque<(AdapterScales, Start)>,
    given: u64,
}

impl Choices {
    /// How many are remembered.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.remembered.len()
    }

    /// Where sequences with these scales begin. What is forgotten in the meantime begins anew: no
    /// place is given twice.
    fn start(&mut self, scales: &AdapterScales) -> Start {
        if scales.all().is_none() {
            return Start::default();
        }
        let known = self.remembered.iter().position(|(known, _)| known == scales);
        let choice = match known.and_then(|index| self.remembered.remove(index)) {
            Some(choice) => choice,
            None => {
                self.given += 1;
                (scales.clone(), Start(self.given))
            }
        };
        if self.remembered.len() == REMEMBERED {
            self.remembered.pop_front();
        }
        let start = choice.1;
        self.remembered.push_back(choice);
        start
    }
}

/// The first page behind the sinks that a query behind `pages` pages sees.
fn visible_page(group: &Group, pages: usize) -> usize {
    let from = group.visible_from(pages * group.page_tokens);
    (from / group.page_tokens).max(group.sink_pages)
}

/// The pages that a query behind `pages` pages sees.
fn seen(group: &Group, pages: usize) -> impl Iterator<Item = usize> {
    let sinks = 0..group.sink_pages.min(pages);
    sinks.chain(visible_page(group, pages)..pages)
}

/// A page that holds page number `number` of a beginning as a query behind `pages` pages sees it.
fn find(
    layout: &Layout,
    index: &super::prefix::PrefixIndex,
    group: &Group,
    nodes: &[NodeId],
    number: usize,
    pages: usize,
) -> Option<(Form, PageId)> {
    let form = layout.form_at(number, pages * layout.page_tokens);
    let page = index.page(nodes[number], group.of_form(form).pool)?;
    Some((form, PageId::numbered(page)?))
}

impl Sequence {
    /// An empty sequence that notes at most so many tokens.
    pub(super) fn empty(layout: &Layout, shared_tokens: usize, units: usize) -> Self {
        Self {
            len: 0,
            tables: layout.groups.iter().map(super::table::Table::new).collect(),
            tokens: Vec::with_capacity(shared_tokens),
            adapters: AdapterScales::default(),
            start: Start::default(),
            held_from: vec![0; units],
        }
    }
}
