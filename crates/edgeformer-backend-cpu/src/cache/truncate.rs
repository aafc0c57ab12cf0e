//! Going back: truncation, rollback, and what a shorter sequence sees in another form.
//!
//! A page that becomes unfinished again is needed in the form of pages under construction, and a
//! page that was far is near again. Where that form is gone it is made of what there is: exactly
//! for floats, and for codes within their rounding. What the last step changed is still there in
//! full: the page that was closed last keeps its open form until the next step, so that tokens
//! that were only guessed can be taken back without a trace.

use edgeformer_core::{Error, Result, SequenceId};

use super::layout::{Form, Layout};
use super::pools::Pools;
use super::{PagedCache, Sequence};

impl PagedCache {
    /// See [`KvCache::truncate`](edgeformer_core::KvCache::truncate).
    pub(super) fn shorten(&mut self, seq: SequenceId, len: usize) -> Result<()> {
        let sequence = self.sequence(seq)?;
        if len >= sequence.len {
            return Ok(());
        }
        self.check_held(seq, len)?;
        self.count_forms(seq, len);
        let ready = self.make_ready().and_then(|()| self.bring_sources(seq, len));
        if let Some(sequence) = self.sequences.get(&seq) {
            sequence.stay(&self.layout, &mut self.pools);
        }
        ready?;
        let Self { layout, pools, sequences, .. } = self;
        if let Some(sequence) = sequences.get_mut(&seq) {
            sequence.trim(layout, pools, len);
        }
        for group in 0..self.layout.groups.len() {
            self.remake(seq, group, len);
        }
        let Self { layout, pools, sequences, .. } = self;
        if let Some(sequence) = sequences.get_mut(&seq) {
            sequence.settle(layout, pools);
        }
        Ok(())
    }

    /// Whether all that the query at position `len` sees is still held.
    fn check_held(&self, seq: SequenceId, len: usize) -> Result<()> {
        let sequence = self.sequence(seq)?;
        let refuse = |what: String| {
            Err(Error::Step(format!(
                "{seq} cannot be truncated to {len} of its {} tokens: {what}; truncate to 0, or fork before going on",
                sequence.len
            )))
        };
        if len == 0 {
            return Ok(());
        }
        if let Some(&evicted) = sequence.held_from.iter().find(|&&from| from > 0 && len <= from) {
            return refuse(format!("entries before {evicted} were evicted or moved"));
        }
        if sequence.held_from.iter().any(|&from| from > 0) {
            return Ok(());
        }
        for (table, group) in sequence.tables.iter().zip(&self.layout.groups) {
            if !table.can_trim(len, group) {
                let window = group.window.unwrap_or_default();
                return refuse(format!(
                    "a layer with a window of {window} has released positions before {}",
                    table.from()
                ));
            }
        }
        Ok(())
    }

    /// Counts the pages that the sequence would need in another form at length `len`.
    fn count_forms(&mut self, seq: SequenceId, len: usize) {
        let Self { layout, pools, sequences, demands, .. } = self;
        demands.clear();
        let Some(sequence) = sequences.get(&seq) else { return };
        let end = len.div_ceil(layout.page_tokens);
        for (table, group) in sequence.tables.iter().zip(&layout.groups) {
            for (_, entry) in table.entries(group).skip_while(|(number, _)| *number < end) {
                demands.leave_all(entry, group, pools);
            }
            for (number, entry) in table.entries(group).take_while(|(number, _)| *number < end) {
                let form = layout.form_at(number, len);
                if entry.get(form).is_none() {
                    demands.need(group.of_form(form).pool);
                    if let Some(source) = source(entry) {
                        demands.read(entry, source, group, pools);
                    }
                }
            }
        }
    }

    /// Puts pages of the file into memory of which others will be made.
    fn bring_sources(&mut self, seq: SequenceId, len: usize) -> Result<()> {
        let Self { layout, pools, sequences, .. } = self;
        let Some(sequence) = sequences.get(&seq) else { return Ok(()) };
        let end = len.div_ceil(layout.page_tokens);
        for (table, group) in sequence.tables.iter().zip(&layout.groups) {
            for (number, entry) in table.entries(group).take_while(|(number, _)| *number < end) {
                let missing = entry.get(layout.form_at(number, len)).is_none();
                if let Some(form) = source(entry).filter(|_| missing)
                    && let Some(page) = entry.get(form)
                {
                    pools.move_in(group.of_form(form).pool, page)?;
                }
            }
        }
        Ok(())
    }

    /// Makes the forms that are missing at length `len`.
    fn remake(&mut self, seq: SequenceId, group: usize, len: usize) {
        let Some(sequence) = self.sequences.get(&seq) else { return };
        for number in sequence.tables[group].numbers(&self.layout.groups[group]) {
            let form = self.layout.form_at(number, len);
            let remade = self.convert_page(seq, group, number, form);
            // It may differ from what its tokens would give: nobody shall take it for that.
            if let Some(sequence) = self.sequences.get_mut(&seq).filter(|_| remade) {
                sequence.tokens.clear();
            }
        }
    }
}

/// The best form that a page has.
pub(super) fn source(entry: super::table::Entry) -> Option<Form> {
    Form::ALL.into_iter().find(|&form| entry.get(form).is_some())
}

impl Sequence {
    /// Gives back what lies at position `len` and beyond.
    pub(super) fn trim(&mut self, layout: &Layout, pools: &mut Pools, len: usize) {
        for (table, group) in self.tables.iter_mut().zip(&layout.groups) {
            table.trim(pools, len, group);
        }
        self.len = len;
        self.tokens.truncate(len);
        if len == 0 {
            self.held_from.fill(0);
        }
    }

    /// Gives back the forms of the last pages that a query at the sequence's end does not see,
    /// but for the open form of the page that was closed last.
    pub(super) fn settle(&mut self, layout: &Layout, pools: &mut Pools) {
        let len = self.len;
        for (table, group) in self.tables.iter_mut().zip(&layout.groups) {
            if !len.is_multiple_of(layout.page_tokens) {
                let last = len / layout.page_tokens;
                table.release_unseen(pools, last, (len, len), layout, group);
            }
        }
    }

    /// Gives back the open forms of pages that a step has closed, but for the last.
    pub(super) fn close(&mut self, from: usize, layout: &Layout, pools: &mut Pools) {
        let closed = self.len / layout.page_tokens;
        for (table, group) in self.tables.iter_mut().zip(&layout.groups) {
            let Some(pool) = group.pool(Form::Open) else { continue };
            for number in from / layout.page_tokens..closed.saturating_sub(1) {
                let Some(entry) = table.entry_mut(number, group) else { continue };
                if let Some(page) = entry.get(Form::Open) {
                    pools.release(pool, page);
                    entry.set(Form::Open, None);
                }
            }
        }
    }
}
