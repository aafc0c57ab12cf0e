//! Writing and reading keys and values.

use std::ops::Range;

use edgeformer_core::graph::CacheSlot;
use edgeformer_core::{Rows, SequenceId};
use half::f16;

use super::PagedCache;
use super::layout::{Side, Slot};
use super::pages::{Elements, Page};

/// Cached keys and values of neighbouring positions, contiguous for every head.
#[derive(Clone, Copy)]
pub(crate) struct KvRun<'a> {
    /// The first position.
    pub first: usize,
    /// How many positions.
    pub len: usize,
    page: &'a Page,
    slot: Slot,
    page_tokens: usize,
}

/// Contiguous rows in the format in which the cache keeps them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum CacheRows<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 16-bit floats.
    F16(&'a [f16]),
}

impl<'a> KvRun<'a> {
    /// Keys of a key-value head: `len` rows of its width. A latent slot has one head, with rows
    /// `[latent | rotated key]`.
    ///
    /// # Panics
    /// If the slot has no such head.
    pub fn keys(&self, head: usize) -> CacheRows<'a> {
        self.rows(&self.page.keys, self.slot.keys, head)
    }

    /// Values of a key-value head: `len` rows of its width; empty for latent slots.
    ///
    /// # Panics
    /// If the slot has no such head.
    pub fn values(&self, head: usize) -> CacheRows<'a> {
        self.rows(&self.page.values, self.slot.values, head)
    }

    fn rows(&self, elements: &'a Elements, side: Side, head: usize) -> CacheRows<'a> {
        assert!(head < side.heads, "head {head} of {}", side.heads);
        let start = side.element(head, self.first % self.page_tokens, self.page_tokens);
        elements.rows(start..start + self.len * side.dim)
    }
}

impl PagedCache {
    /// Stores keys and values of reserved tokens of one slot, from position `first` on. `keys` are
    /// rows of `heads * key_dim`, `values` of `heads * value_dim`; a latent slot has keys
    /// `[latent | rotated key]` and no values.
    ///
    /// # Panics
    /// If the positions are not reserved, or the rows are not as wide as the slot's.
    pub fn store(
        &mut self,
        slot: CacheSlot,
        seq: SequenceId,
        first: usize,
        keys: Rows<'_>,
        values: Option<Rows<'_>>,
    ) {
        let page_tokens = self.layout.page_tokens;
        let (group, slot) = self.layout.slot(slot);
        let table =
            &self.sequences.get(&seq).expect("only known sequences are reserved").tables[group];
        let pages = &mut self.pools[group];
        for index in 0..keys.len() {
            let position = first + index;
            let page = table.page(position, page_tokens).expect("the position is reserved");
            let page = pages.get_mut(page);
            let token = position % page_tokens;
            page.keys.store_row(slot.keys, token, page_tokens, keys.row(index));
            if let Some(values) = values {
                page.values.store_row(slot.values, token, page_tokens, values.row(index));
            }
        }
    }

    /// The cached runs that cover `positions`, in ascending order: one a page. Reserved positions
    /// are readable once they are stored. An unknown sequence has none.
    ///
    /// # Panics
    /// If a position before the window's oldest is asked for, or one that is not reserved.
    pub fn runs(
        &self,
        slot: CacheSlot,
        seq: SequenceId,
        positions: Range<usize>,
    ) -> impl Iterator<Item = KvRun<'_>> {
        let page_tokens = self.layout.page_tokens;
        let (group, slot) = self.layout.slot(slot);
        let table = self.sequences.get(&seq).map(|sequence| &sequence.tables[group]);
        let from = table.map_or(0, |table| table.from());
        assert!(
            positions.is_empty() || from <= positions.start,
            "positions {positions:?} of {seq}, held from {from}"
        );
        let mut next = positions.start;
        std::iter::from_fn(move || {
            let table = table.filter(|_| next < positions.end)?;
            let first = next;
            let page = table.page(first, page_tokens).expect("the position is reserved");
            next = positions.end.min((first / page_tokens + 1) * page_tokens);
            let page = self.pools[group].get(page);
            Some(KvRun { first, len: next - first, page, slot, page_tokens })
        })
    }
}

impl Elements {
    /// Stores a token's row of all heads of one side of a slot.
    fn store_row(&mut self, side: Side, token: usize, page_tokens: usize, row: &[f32]) {
        assert_eq!(row.len(), side.elements(), "columns of a row to store");
        for (head, values) in row.chunks_exact(side.dim.max(1)).enumerate() {
            self.store(side.element(head, token, page_tokens), values);
        }
    }
}
