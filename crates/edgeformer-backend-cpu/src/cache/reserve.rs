//! Room for the tokens of a step: all of it or nothing.
//!
//! A step changes tables in this order, so that no pool ever holds more than its limit:
//! pages behind windows go; pages that are far by now get their cold form; forms that no query of
//! the step sees go; pages to be written are copied if others own them; new pages come.

use edgeformer_core::{Error, Result, SequenceId};

use super::layout::{Form, Group, Layout};
use super::pages::PageId;
use super::pools::Pools;
use super::table::Entry;
use super::{PagedCache, Sequence};

/// What was checked before.
const KNOWN: &str = "check_spans has found the sequences";

impl PagedCache {
    /// Reserves room for `count` more tokens of every span's sequence. Pages that will be written
    /// and that others own too are copied; pages that fell out of a window are released.
    ///
    /// A reservation that is still open is rolled back first. A cache without slots (encoders)
    /// reserves nothing and its lengths stay zero.
    ///
    /// # Errors
    /// If a sequence is unknown, named twice or would outgrow the context, there are not enough
    /// free pages, or the file that pages go to cannot be written or read. Then everything is as
    /// it was.
    pub fn reserve(&mut self, spans: &[(SequenceId, usize)]) -> Result<()> {
        self.rollback();
        self.check_spans(spans)?;
        if self.layout.groups.is_empty() {
            return Ok(());
        }
        self.count(spans);
        let ready = self.make_ready().and_then(|()| self.bring_back(spans));
        for (sequence, _) in growing(spans, |seq| self.sequences.get(&seq)) {
            sequence.stay(&self.layout, &mut self.pools);
        }
        ready?;
        for group in 0..self.layout.groups.len() {
            self.for_growing(spans, group, release_passed);
            self.chill(group, spans);
            self.for_growing(spans, group, release_unseen);
            self.for_growing(spans, group, extend);
        }
        self.reserved.extend_from_slice(spans);
        self.stage();
        Ok(())
    }

    fn check_spans(&self, spans: &[(SequenceId, usize)]) -> Result<()> {
        for (index, &(seq, count)) in spans.iter().enumerate() {
            let needed = self.sequence(seq)?.len.checked_add(count);
            if spans[..index].iter().any(|&(other, _)| other == seq) {
                return Err(Error::Step(format!("{seq} is in two spans of one step")));
            }
            let limit = self.layout.context.unwrap_or(usize::MAX / 2);
            let needed = needed.unwrap_or(usize::MAX);
            if needed > limit && !self.layout.groups.is_empty() {
                return Err(Error::ContextFull { sequence: seq, needed, limit });
            }
        }
        Ok(())
    }

    /// Goes through the motions of a reservation and counts pages.
    fn count(&mut self, spans: &[(SequenceId, usize)]) {
        let Self { layout, pools, sequences, demands, .. } = self;
        demands.clear();
        for (sequence, count) in growing(spans, |seq| sequences.get(&seq)) {
            let (len, end) = (sequence.len, sequence.len + count);
            for (table, group) in sequence.tables.iter().zip(&layout.groups) {
                let passed = table.passed(len, group);
                for (number, entry) in table.entries(group) {
                    match passed.contains(&number) {
                        true => demands.leave_all(entry, group, pools),
                        false => demands.change((number, entry), (len, end), layout, group, pools),
                    }
                }
                for number in table.end(group)..end.div_ceil(layout.page_tokens) {
                    let new = (number, Entry::default());
                    demands.change(new, (len, end), layout, group, pools);
                }
            }
        }
        for (sequence, _) in growing(spans, |seq| sequences.get(&seq)) {
            for (table, group) in sequence.tables.iter().zip(&layout.groups) {
                if let Some(&entry) = table.entry(sequence.len / layout.page_tokens, group) {
                    demands.write(entry, layout.base(), group, pools);
                }
            }
        }
    }

    /// Makes as many pages ready as were counted, if there are as many.
    pub(super) fn make_ready(&mut self) -> Result<()> {
        self.demands.check(&self.pools)?;
        let Self { layout, pools, sequences, demands, .. } = self;
        pools.prepare(demands.ready(), |pools| victim(sequences.values(), layout, pools))
    }

    /// Puts pages of the file that will be written into memory.
    fn bring_back(&mut self, spans: &[(SequenceId, usize)]) -> Result<()> {
        let Self { layout, pools, sequences, .. } = self;
        let base = layout.base();
        for (sequence, _) in growing(spans, |seq| sequences.get(&seq)) {
            for (table, group) in sequence.tables.iter().zip(&layout.groups) {
                let entry = table.entry(sequence.len / layout.page_tokens, group);
                if let Some(page) = entry.and_then(|entry| entry.get(base)) {
                    pools.move_in(group.of_form(base).pool, page)?;
                }
            }
        }
        Ok(())
    }

    /// Gives pages that are seen as cold from now on their cold form.
    fn chill(&mut self, index: usize, spans: &[(SequenceId, usize)]) {
        let group = &self.layout.groups[index];
        if group.pool(Form::Cold).is_none() {
            return;
        }
        for &(seq, count) in spans.iter().filter(|(_, count)| *count > 0) {
            let len = self.sequences.get(&seq).expect(KNOWN).len;
            let full = len / self.layout.page_tokens;
            let numbers = self.sequences[&seq].tables[index].numbers(&self.layout.groups[index]);
            for number in numbers.take_while(|&number| number < full) {
                if self.layout.needs(Form::Cold, number, len, len + count) {
                    self.convert_page(seq, index, number, Form::Cold);
                }
            }
        }
    }

    /// Does something to every growing sequence, in one group.
    fn for_growing(
        &mut self,
        spans: &[(SequenceId, usize)],
        index: usize,
        change: impl Fn(&Layout, &mut Pools, (usize, &Group), &mut Sequence, usize),
    ) {
        let Self { layout, pools, sequences, .. } = self;
        for &(seq, count) in spans.iter().filter(|(_, count)| *count > 0) {
            let sequence = sequences.get_mut(&seq).expect(KNOWN);
            change(layout, pools, (index, &layout.groups[index]), sequence, count);
        }
    }

    /// Lists the pages of the file that the step reads.
    fn stage(&mut self) {
        let Self { layout, pools, sequences, reserved, .. } = self;
        if pools.tier.is_none() {
            return;
        }
        let sequences = reserved.iter().filter_map(|(seq, _)| sequences.get(seq));
        pools.stage(sequences.flat_map(|sequence| {
            let tables = sequence.tables.iter().zip(&layout.groups);
            tables.flat_map(|(table, group)| {
                let pool = group.of_form(Form::Main).pool;
                let pages = table.entries(group).filter_map(|(_, entry)| entry.get(Form::Main));
                pages.map(move |page| (pool, page))
            })
        }));
    }
}

/// Gives back the pages behind the window.
fn release_passed(
    _: &Layout,
    pools: &mut Pools,
    (index, group): (usize, &Group),
    sequence: &mut Sequence,
    _: usize,
) {
    sequence.tables[index].release_passed(pools, sequence.len, group);
}

/// Gives back the forms of pages that no query of the step sees.
fn release_unseen(
    layout: &Layout,
    pools: &mut Pools,
    (index, group): (usize, &Group),
    sequence: &mut Sequence,
    count: usize,
) {
    let len = sequence.len;
    let table = &mut sequence.tables[index];
    for number in table.numbers(group) {
        table.release_unseen(pools, number, (len, len + count), layout, group);
    }
}

/// Adds the pages that the step writes.
fn extend(
    layout: &Layout,
    pools: &mut Pools,
    (index, group): (usize, &Group),
    sequence: &mut Sequence,
    count: usize,
) {
    let (len, end) = (sequence.len, sequence.len + count);
    let table = &mut sequence.tables[index];
    for number in len / layout.page_tokens..end.div_ceil(layout.page_tokens) {
        if table.entry(number, group).is_none() {
            table.push(Entry::default(), group);
        }
        let entry = table.entry_mut(number, group).expect("the entry was just added");
        for form in Form::ALL {
            let Some(pool) = group.pool(form) else { continue };
            match entry.get(form) {
                Some(page) if form == layout.base() => {
                    entry.set(form, Some(pools.own(pool, page)));
                }
                None if layout.needs(form, number, len, end) => {
                    entry.set(form, Some(pools.take(pool)));
                }
                _ => {}
            }
        }
    }
}

/// The page that goes to the file next: the oldest full one of the longest sequence.
pub(super) fn victim<'a>(
    sequences: impl Iterator<Item = &'a Sequence>,
    layout: &Layout,
    pools: &Pools,
) -> Option<(usize, PageId)> {
    let candidates = sequences.filter_map(|sequence| {
        let oldest = sequence.tables.iter().zip(&layout.groups).filter_map(|(table, group)| {
            let pool = group.of_form(Form::Main).pool;
            let full = sequence.len / layout.page_tokens;
            let mut pages = table.entries(group).take_while(|(number, _)| *number < full);
            pages.find_map(|(number, entry)| {
                let page = entry.get(Form::Main)?;
                pools.all[pool].can_move(page).then_some((number, pool, page))
            })
        });
        let oldest = oldest.min_by_key(|&(number, pool, _)| (number, pool))?;
        Some((sequence.len, oldest))
    });
    // Of equals the first: sequences come in the order in which they were made.
    let longest = candidates.reduce(|best, other| if other.0 > best.0 { other } else { best });
    longest.map(|(_, (_, pool, page))| (pool, page))
}

/// The spans that write something.
fn growing<'s, 'a: 's>(
    spans: &'s [(SequenceId, usize)],
    find: impl Fn(SequenceId) -> Option<&'a Sequence> + 's,
) -> impl Iterator<Item = (&'a Sequence, usize)> + 's {
    let growing = spans.iter().filter(|(_, count)| *count > 0);
    growing.filter_map(move |&(seq, count)| Some((find(seq)?, count)))
}
