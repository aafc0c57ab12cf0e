//! Writing and reading keys and values.

use std::ops::Range;

use edgeformer_core::graph::CacheSlot;
use edgeformer_core::{Result, Rows, SequenceId};

use super::layout::{Converter, Form, HeadPlace, Layout};
use super::pages::PageId;
use super::pools::Pools;
use super::table::{Entry, Table};
use super::truncate::source;
use super::{PagedCache, Sequence};
use crate::kernels::KvRows;

/// Cached keys and values of neighbouring positions, in one form.
#[derive(Debug, Clone)]
pub(crate) struct KvRun<'a> {
    /// The first position.
    pub first: usize,
    /// How many positions.
    pub len: usize,
    /// Keys of a head; rows `[latent | rotated key]` of a latent slot.
    pub keys: KvRows<'a>,
    /// Values of a head; empty for latent slots.
    pub values: KvRows<'a>,
    /// Positions of the queries that see this form of these positions.
    pub seen_by: Range<usize>,
}

impl PagedCache {
    /// Stores keys and values of reserved tokens of one slot, from position `first` on. `keys` are
    /// rows of `heads * key_dim`, `values` of `heads * value_dim`; a latent slot has keys
    /// `[latent | rotated key]` and no values. Pages that are full with it are closed.
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
        for head in 0..self.layout.slots[slot.0 as usize].heads.len() {
            self.store_head(slot, head, seq, first, keys, values);
        }
        let page_tokens = self.layout.page_tokens;
        let full = first / page_tokens..(first + keys.len()) / page_tokens;
        for group in 0..self.layout.groups.len() {
            let parts = &self.layout.groups[group].parts;
            if let Some(part) = parts.iter().position(|part| part.slot == slot) {
                full.clone().for_each(|number| self.close_part(seq, (group, part), number));
            }
        }
    }

    fn store_head(
        &mut self,
        slot: CacheSlot,
        head: usize,
        seq: SequenceId,
        first: usize,
        keys: Rows<'_>,
        values: Option<Rows<'_>>,
    ) {
        let Self { layout, pools, sequences, kernels, row: scratch, .. } = self;
        let (place, base) = (layout.place(slot, head), layout.base());
        let group = &layout.groups[place.group];
        let form = group.of_form(base);
        let section = &form.sections[place.part];
        let sequence = sequences.get(&seq).expect("only known sequences are reserved");
        let table = &sequence.tables[place.group];
        let slot = &layout.slots[slot.0 as usize];
        let heads = slot.heads.len();
        let (key_dim, value_dim) = (section.keys.dim, section.values.dim);
        assert_eq!(keys.width(), heads * key_dim, "columns of keys to store");
        for index in 0..keys.len() {
            let (number, token) = split(first + index, layout.page_tokens);
            let page = table.entry(number, group).and_then(|entry| entry.get(base));
            let page = page.expect("the position is reserved");
            let bytes = &mut pools.all[form.pool].page_mut(page)[section.range()];
            let row = &keys.row(index)[head * key_dim..][..key_dim];
            match slot.rotation {
                None => section.keys.store(kernels, bytes, place.head, token, row),
                Some(rotation) => {
                    let turned = &mut scratch[..key_dim];
                    turned.copy_from_slice(row);
                    kernels.hadamard(turned, rotation);
                    section.keys.store(kernels, bytes, place.head, token, turned);
                }
            }
            if let Some(values) = values {
                assert_eq!(values.width(), heads * value_dim, "columns of values to store");
                let row = &values.row(index)[head * value_dim..][..value_dim];
                section.values.store(kernels, bytes, place.head, token, row);
            }
        }
    }

    /// Makes what is left to make of a slot's rows in a page that became full: the closed form,
    /// the bounds, the cold form if the step sees it.
    fn close_part(&mut self, seq: SequenceId, (group, part): (usize, usize), number: usize) {
        let Self { layout, pools, sequences, kernels, row, .. } = self;
        let Some(sequence) = sequences.get(&seq) else { return };
        let group_layout = &layout.groups[group];
        let Some(&entry) = sequence.tables[group].entry(number, group_layout) else { return };
        let mut converter = Converter { kernels, row };
        match entry.get(Form::Open) {
            Some(_) => {
                convert(
                    layout,
                    pools,
                    &mut converter,
                    (group, part),
                    entry,
                    Form::Open,
                    Form::Main,
                );
            }
            None => {
                let form = group_layout.of_form(Form::Main);
                if let Some(page) = entry.get(Form::Main) {
                    let section = &form.sections[part];
                    let bytes = &mut pools.all[form.pool].page_mut(page)[section.range()];
                    section.find_bounds(converter.kernels, bytes, converter.row);
                }
            }
        }
        convert(layout, pools, &mut converter, (group, part), entry, Form::Main, Form::Cold);
    }

    /// Makes a page of a sequence in another form of the best that it has, unless it is there.
    /// Returns whether it was made.
    pub(super) fn convert_page(
        &mut self,
        seq: SequenceId,
        group: usize,
        number: usize,
        form: Form,
    ) -> bool {
        let Self { layout, pools, sequences, kernels, row, .. } = self;
        let group_layout = &layout.groups[group];
        let table = sequences.get_mut(&seq).map(|sequence| &mut sequence.tables[group]);
        let entry = table.and_then(|table| table.entry_mut(number, group_layout));
        let Some(entry) = entry.filter(|entry| entry.get(form).is_none()) else { return false };
        // A page that is seen in its closed form alone is exactly that.
        let source = entry.get(Form::Main).map(|_| Form::Main).or(source(*entry));
        let Some(source) = source else { return false };
        entry.set(form, Some(pools.take(group_layout.of_form(form).pool)));
        let mut converter = Converter { kernels, row };
        for part in 0..group_layout.parts.len() {
            convert(layout, pools, &mut converter, (group, part), *entry, source, form);
        }
        true
    }

    /// The cached runs of a head that cover `positions`, in ascending order: one for each page and
    /// each of its forms that queries at positions `queries` see. Reserved positions are readable
    /// once they are stored. An unknown sequence has none.
    ///
    /// # Panics
    /// If a position is asked for that is not held: behind the sinks before
    /// [`oldest`](Self::oldest), or not reserved; or the step's pages of the file were not
    /// [fetched](Self::fetch).
    pub fn runs(
        &self,
        slot: CacheSlot,
        head: usize,
        seq: SequenceId,
        positions: Range<usize>,
        queries: Range<usize>,
    ) -> impl Iterator<Item = KvRun<'_>> + use<'_> {
        let place = self.layout.place(slot, head);
        let sequence = self.sequences.get(&seq);
        if let Some(sequence) = sequence {
            self.assert_held(seq, sequence, place, &positions);
        }
        let Self { layout, pools, .. } = self;
        let table = sequence.map(|sequence| &sequence.tables[place.group]);
        let reader = table.map(|table| Reader { layout, pools, table, slot, place });
        let mut next = positions.start;
        let mut forms = Form::ALL.into_iter();
        std::iter::from_fn(move || {
            let reader = reader.as_ref()?;
            while next < positions.end {
                let number = next / layout.page_tokens;
                let end = positions.end.min((number + 1) * layout.page_tokens);
                for form in forms.by_ref() {
                    let seen_by = layout.seen_by(form, number);
                    if !seen_by.is_empty()
                        && seen_by.start < queries.end
                        && queries.start < seen_by.end
                    {
                        return Some(reader.run(form, next..end, seen_by));
                    }
                }
                forms = Form::ALL.into_iter();
                next = end;
            }
            None
        })
    }

    fn assert_held(
        &self,
        seq: SequenceId,
        sequence: &Sequence,
        place: HeadPlace,
        positions: &Range<usize>,
    ) {
        let group = &self.layout.groups[place.group];
        let from = sequence.tables[place.group].from();
        assert!(
            positions.is_empty() || from <= positions.start || positions.end <= group.sinks,
            "positions {positions:?} of {seq}, held from {from} on behind {} sinks",
            group.sinks
        );
    }

    /// Makes the pages of the file readable that sequences of this step have of a slot, and begins
    /// to read those of the next.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn fetch(&mut self, slot: CacheSlot) -> Result<()> {
        self.pools.fetch(&self.layout, slot)
    }

    /// The least and the greatest of each key element of a head in page number `page` of a
    /// sequence. `None` while the page is not full, and in a session that attends all pages.
    pub fn bounds(
        &self,
        slot: CacheSlot,
        head: usize,
        seq: SequenceId,
        page: usize,
    ) -> Option<(&[f32], &[f32])> {
        let place = self.layout.place(slot, head);
        let sequence = self.sequences.get(&seq)?;
        let reserved = self.reserved.iter().find(|(other, _)| *other == seq);
        let len = sequence.len + reserved.map_or(0, |(_, count)| *count);
        if (page + 1) * self.layout.page_tokens > len {
            return None;
        }
        let table = &sequence.tables[place.group];
        let entry = table.entry(page, &self.layout.groups[place.group])?;
        let form = [Form::Main, Form::Cold].into_iter().find(|&form| entry.get(form).is_some())?;
        let reader = Reader { layout: &self.layout, pools: &self.pools, table, slot, place };
        let (section, bytes) = reader.section(form, page);
        section.bounds(bytes, place.head)
    }
}

/// Copies a part of a page from one form to another, if the page is in both.
fn convert(
    layout: &Layout,
    pools: &mut Pools,
    converter: &mut Converter<'_>,
    (group, part): (usize, usize),
    entry: Entry,
    from: Form,
    to: Form,
) {
    let (Some(page), Some(target)) = (entry.get(from), entry.get(to)) else { return };
    let group = &layout.groups[group];
    let (from, to) = (group.of_form(from), group.of_form(to));
    let (section, other) = (&from.sections[part], &to.sections[part]);
    let (pages, targets) = pools.pair(from.pool, to.pool);
    let bytes = &pages.page(page)[section.range()];
    let target = &mut targets.page_mut(target)[other.range()];
    converter.section((section, bytes), (other, target), 0..layout.page_tokens);
}

/// Reads a head of a sequence.
struct Reader<'a> {
    layout: &'a Layout,
    pools: &'a Pools,
    table: &'a Table,
    slot: CacheSlot,
    place: HeadPlace,
}

impl<'a> Reader<'a> {
    /// A slot's section of a page, wherever that is.
    fn section(&self, form: Form, number: usize) -> (&'a super::layout::Section, &'a [u8]) {
        let group = &self.layout.groups[self.place.group];
        let entry = self.table.entry(number, group);
        let page: PageId =
            entry.and_then(|entry| entry.get(form)).expect("the position is reserved");
        let form = group.of_form(form);
        let (section, pages) = (&form.sections[self.place.part], &self.pools.all[form.pool]);
        let Some(tier) = self.pools.tier.as_ref().filter(|_| pages.place(page).is_some()) else {
            return (section, &pages.page(page)[section.range()]);
        };
        let staged = pages.staged(page).expect("pages of the file are staged for a step");
        (section, tier.section(self.slot, self.place.group, staged, section.bytes))
    }

    /// The rows of neighbouring positions of one page.
    fn run(&self, form: Form, positions: Range<usize>, seen_by: Range<usize>) -> KvRun<'a> {
        let (number, token) = split(positions.start, self.layout.page_tokens);
        let (section, bytes) = self.section(form, number);
        let tokens = token..token + positions.len();
        KvRun {
            first: positions.start,
            len: positions.len(),
            keys: section.keys.rows(bytes, self.place.head, tokens.clone()),
            values: section.values.rows(bytes, self.place.head, tokens),
            seen_by,
        }
    }
}

/// A position's page number, and its place in the page.
fn split(position: usize, page_tokens: usize) -> (usize, usize) {
    (position / page_tokens, position % page_tokens)
}
