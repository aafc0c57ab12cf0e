//! Whether a cache shows what the model has, and its books are right.

use std::collections::BTreeSet;
use std::ops::Range;

use edgeformer_core::graph::CacheSlot;
use edgeformer_core::{KvCache, SequenceId};

use super::model::Checked;
use super::plain::{COLD, Forms, MAIN, Side, kernels};
use crate::cache::layout::Form;
use crate::kernels::KvRows;

impl Checked {
    /// Everything that can be seen, and the books.
    pub fn check(&mut self) {
        let all: Vec<_> = self.sequences.keys().copied().collect();
        for seq in all {
            let len = self.sequences[&seq].len;
            assert_eq!(self.cache.len(seq), len);
            // Pages of the file are read in a step.
            self.cache.reserve(&[(seq, 0)]).unwrap();
            for slot in 0..self.slots.len() {
                self.cache.fetch(CacheSlot(slot as u32)).unwrap();
                self.check_slot(slot, seq, len);
            }
            self.cache.rollback();
        }
        self.check_owners();
    }

    /// What the query at position `query` sees of a slot.
    pub fn check_slot(&self, slot: usize, seq: SequenceId, query: usize) {
        let plain = &self.sequences[&seq];
        let layout = self.slots[slot];
        // The next query of a step sees what is there, all others themselves too.
        let end = (query + 1).min(plain.rows[slot].len());
        for head in 0..layout.keys.heads {
            let sinks = self.window(slot, head).0;
            let oldest = self.cache.oldest(CacheSlot(slot as u32), head, seq);
            assert_eq!(oldest, plain.held[slot][head].max(sinks), "the oldest that is held");
            let seen = self.needed(plain, slot, head, query).max(oldest);
            for positions in [0..sinks.min(end), seen.min(end)..end] {
                self.check_runs(slot, head, seq, positions, query);
            }
            self.check_bounds(slot, head, seq, seen.min(end)..end);
        }
    }

    fn check_runs(
        &self,
        slot: usize,
        head: usize,
        seq: SequenceId,
        positions: Range<usize>,
        query: usize,
    ) {
        let (plain, layout) = (&self.sequences[&seq], self.slots[slot]);
        let mut next = positions.start;
        let end = positions.end;
        let id = CacheSlot(slot as u32);
        for run in self.cache.runs(id, head, seq, positions, query..query + 1) {
            assert_eq!(run.first, next, "runs ascend without gaps");
            assert!(run.seen_by.contains(&query));
            for index in 0..run.len {
                let mut row = plain.rows[slot][next + index].clone();
                // Of a page that grows cold in the middle of a step.
                layout.keys.make(&mut row.keys, MAIN, COLD);
                layout.values.make(&mut row.values, MAIN, COLD);
                let form = self.form(next + index, query);
                same(run.keys, index, layout.keys, head, &row.keys, form);
                same(run.values, index, layout.values, head, &row.values, form);
            }
            next += run.len;
        }
        assert_eq!(next, end, "runs cover what is asked for");
    }

    fn check_bounds(&self, slot: usize, head: usize, seq: SequenceId, positions: Range<usize>) {
        let dim = self.slots[slot].keys.dim;
        let own = head * dim..(head + 1) * dim;
        for number in positions.start.div_ceil(self.page)..positions.end / self.page {
            let found = self.cache.bounds(CacheSlot(slot as u32), head, seq, number);
            let expected = self.sequences[&seq].bounds[slot].get(&number);
            let expected = expected.filter(|_| self.options.visibility.attend_pages.is_some());
            let expected = expected.map(|(least, most)| (&least[own.clone()], &most[own.clone()]));
            assert_eq!(found, expected, "bounds of page {number}");
        }
    }

    /// Every listed page has as many owners as lists, and no other page is in use.
    fn check_owners(&self) {
        let mut pages_used = 0;
        let mut bytes_used = 0;
        for (index, group) in self.cache.layout.groups.iter().enumerate() {
            for form in Form::ALL {
                let Some(pool) = group.pool(form) else { continue };
                let tables = self.cache.sequences.values().map(|sequence| &sequence.tables[index]);
                let entries = tables.flat_map(|table| table.entries(group));
                let pages: BTreeSet<u32> = entries
                    .filter_map(|(_, entry)| entry.get(form))
                    .map(|page| page.number())
                    .collect();
                pages_used += pages.len() * group.parts.len();
                bytes_used += pages.len() * group.of_form(form).bytes;
                assert_eq!(self.cache.pools.all[pool].used(), pages.len());
            }
        }
        let usage = self.cache.usage();
        assert_eq!(usage.pages_used, pages_used);
        assert_eq!(usage.bytes_used, bytes_used as u64);
        assert_eq!(usage.bytes_used, usage.bytes_resident + usage.bytes_spilled);
        assert!(usage.bytes_used <= usage.bytes_limit);
        let spilled = self.cache.pools.tier.as_ref().map_or(0, |tier| tier.spill.bytes());
        assert_eq!(usage.bytes_spilled, spilled);
        if let Some(budget) = self.options.tiers.budget {
            let kept = usage.bytes_resident + usage.bytes_retained;
            assert!(kept <= budget, "{kept} bytes of pages in a budget of {budget}");
        }
    }
}

/// Whether a run's row is what the model has.
fn same(found: KvRows<'_>, index: usize, side: Side, head: usize, forms: &Forms, form: usize) {
    if side.dim == 0 {
        return;
    }
    let expected = forms[form].as_ref().expect("the model has the form that is seen");
    let mut decoded = vec![0.0; side.dim];
    kernels().decode_rows(found.from_row(index), side.dim, &mut decoded);
    assert_eq!(decoded, expected[head * side.dim..][..side.dim], "row {index} in form {form}");
}
