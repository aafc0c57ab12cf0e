//! Writing and reading keys and values.

use std::ops::Range;

use edgeformer_core::graph::CacheSlot;
use edgeformer_core::{Rows, SequenceId};
use half::f16;

use super::PagedCache;
use super::layout::Side;
use super::pages::Elements;
use crate::kernels::KvRows;

/// Cached keys and values of neighbouring positions.
#[derive(Debug, Clone)]
pub(crate) struct KvRun<'a> {
    /// The first position.
    pub first: usize,
    /// How many positions.
    pub len: usize,
    /// Keys of a head; `[latent | rotated key]` of a latent slot.
    pub keys: KvRows<'a>,
    /// Values of a head; empty for latent slots.
    pub values: KvRows<'a>,
    /// Positions of the queries that see this form of these positions.
    pub seen_by: Range<usize>,
}

/// Contiguous rows in the format in which the cache keeps them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum CacheRows<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 16-bit floats.
    F16(&'a [f16]),
}

fn kv_rows(
    elements: &Elements,
    side: Side,
    head: usize,
    first: usize,
    len: usize,
    page_tokens: usize,
) -> KvRows<'_> {
    let start = side.element(head, first % page_tokens, page_tokens);
    match elements.rows(start..start + len * side.dim) {
        CacheRows::F32(data) => KvRows::F32 { data, stride: side.dim },
        CacheRows::F16(data) => KvRows::F16 { data, stride: side.dim },
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
        head: usize,
        seq: SequenceId,
        positions: Range<usize>,
        queries: Range<usize>,
    ) -> impl Iterator<Item = KvRun<'_>> + use<'_> {
        let _one_form = queries;
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
            let len = next - first;
            let keys = kv_rows(&page.keys, slot.keys, head, first, len, page_tokens);
            let values = match slot.values.heads > head {
                true => kv_rows(&page.values, slot.values, head, first, len, page_tokens),
                false => KvRows::F32 { data: &[], stride: 0 },
            };
            Some(KvRun { first, len, keys, values, seen_by: 0..usize::MAX })
        })
    }
}

impl PagedCache {
    pub fn note_tokens(&mut self, _seq: SequenceId, _tokens: &[u32]) {}

    pub fn fetch(&mut self, _slot: CacheSlot) -> edgeformer_core::Result<()> {
        Ok(())
    }

    pub fn key_block(&self, _slot: CacheSlot) -> Option<usize> {
        None
    }

    pub fn rotation(&self, _slot: CacheSlot) -> Option<usize> {
        None
    }

    pub fn bounds(
        &self,
        _slot: CacheSlot,
        _head: usize,
        _seq: SequenceId,
        _page: usize,
    ) -> Option<(&[f32], &[f32])> {
        None
    }

    pub fn hold_from(&mut self, _slot: CacheSlot, _seq: SequenceId, _position: usize) {}

    pub fn oldest(&self, slot: CacheSlot, _head: usize, seq: SequenceId) -> usize {
        let (group, _) = self.layout.slot(slot);
        self.sequences.get(&seq).map_or(0, |sequence| sequence.tables[group].from())
    }

    pub fn page_tokens(&self) -> usize {
        self.layout.page_tokens
    }

    pub fn compact(
        &mut self,
        _slot: CacheSlot,
        _head: usize,
        _seq: SequenceId,
        _kept: &[usize],
    ) -> edgeformer_core::Result<()> {
        Ok(())
    }

    pub fn release_front(&mut self, _seq: SequenceId, _oldest: usize) {}

    pub fn trim(&mut self) -> u64 {
        0
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
