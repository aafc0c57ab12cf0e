//! The pages of one sequence in one group, and what a window lets go.
//!
//! ```text
//! position   0    4    8                  40   44   48   52
//!            [ sinks   ]    released      [ ring            ]
//!                                          ^ from = 41
//! ```
//!
//! Behind its sinks a table covers positions from `from` to the end of its last page. Without a
//! window there are no sinks and `from` is 0; with one it moves up a page at a time, and the list
//! is a ring: pages leave at the front and come back at the end.

use std::collections::VecDeque;
use std::ops::Range;

use super::layout::{Form, Group, Layout};
use super::pages::PageId;
use super::pools::Pools;

/// Entries that a new table has room for at the most: more come as it grows.
const ROOM: usize = 1 << 12;

/// The pages of a sequence, in the order of positions.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// The oldest position behind the sinks that is held. Lies in the first page of the ring, if
    /// there is one.
    from: usize,
    /// Positions before it may go although the window sees them.
    wanted_from: usize,
    sinks: Vec<Entry>,
    ring: VecDeque<Entry>,
}

/// The forms of one page of a sequence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// By [`Form`].
    pages: [Option<PageId>; 3],
}

impl Entry {
    pub fn get(&self, form: Form) -> Option<PageId> {
        self.pages[form as usize]
    }

    pub fn set(&mut self, form: Form, page: Option<PageId>) {
        self.pages[form as usize] = page;
    }

    /// The forms it has.
    pub fn forms(self) -> impl Iterator<Item = (Form, PageId)> {
        Form::ALL.into_iter().zip(self.pages).filter_map(|(form, page)| Some((form, page?)))
    }

    /// Gives all its pages back.
    fn release(self, group: &Group, pools: &mut Pools) {
        for (form, page) in self.forms() {
            pools.release(group.of_form(form).pool, page);
        }
    }
}

impl Table {
    /// An empty table with room for some of its pages.
    pub fn new(group: &Group) -> Self {
        // A page is near or far.
        let forms = [Form::Main, Form::Cold].into_iter().filter(|&form| group.pool(form).is_some());
        let pages: u64 = forms.map(|form| group.of_form(form).limit.min(ROOM as u64)).sum();
        Self {
            sinks: Vec::with_capacity(group.sink_pages),
            ring: VecDeque::with_capacity(pages as usize),
            ..Self::default()
        }
    }

    /// Says where an empty table begins to hold positions behind the sinks.
    pub fn start_at(&mut self, from: usize) {
        self.from = from;
    }

    /// The oldest position behind the sinks that is held.
    pub fn oldest(&self, group: &Group) -> usize {
        self.from.max(group.sinks)
    }

    /// The oldest position that is held, sinks or not.
    pub fn from(&self) -> usize {
        self.from
    }

    /// Positions that are wanted although the window would see more.
    pub fn want_from(&mut self, position: usize) {
        self.wanted_from = position;
    }

    /// The number of the first page of the ring.
    fn first(&self, group: &Group) -> usize {
        (self.from / group.page_tokens).max(group.sink_pages)
    }

    /// The numbers of all pages.
    pub fn numbers(&self, group: &Group) -> impl Iterator<Item = usize> + use<> {
        let first = self.first(group);
        (0..self.sinks.len()).chain(first..first + self.ring.len())
    }

    /// The number of the page behind the last.
    pub fn end(&self, group: &Group) -> usize {
        match self.sinks.len() < group.sink_pages {
            true => self.sinks.len(),
            false => self.first(group) + self.ring.len(),
        }
    }

    /// Page number `number`, if it is held.
    pub fn entry(&self, number: usize, group: &Group) -> Option<&Entry> {
        if number < group.sink_pages {
            return self.sinks.get(number);
        }
        self.ring.get(number.checked_sub(self.first(group))?)
    }

    /// Page number `number`, if it is held.
    pub fn entry_mut(&mut self, number: usize, group: &Group) -> Option<&mut Entry> {
        if number < group.sink_pages {
            return self.sinks.get_mut(number);
        }
        let index = number.checked_sub(self.first(group))?;
        self.ring.get_mut(index)
    }

    /// All pages with their numbers.
    pub fn entries(&self, group: &Group) -> impl Iterator<Item = (usize, Entry)> {
        self.numbers(group).zip(self.sinks.iter().chain(&self.ring).copied())
    }

    /// Adds a page at the young end.
    pub fn push(&mut self, entry: Entry, group: &Group) {
        match self.sinks.len() < group.sink_pages {
            true => self.sinks.push(entry),
            false => self.ring.push_back(entry),
        }
    }

    /// The oldest position behind the sinks that the query at position `len` needs.
    pub fn needed_from(&self, len: usize, group: &Group) -> usize {
        group.visible_from(len).max(self.wanted_from.min(len))
    }

    /// The numbers of the pages at the old end that queries from position `len` on do not see.
    pub fn passed(&self, len: usize, group: &Group) -> Range<usize> {
        let first = self.first(group);
        let last = (self.needed_from(len, group) / group.page_tokens).min(first + self.ring.len());
        first..last.max(first)
    }

    /// Gives back the pages that queries from position `len` on do not see.
    pub fn release_passed(&mut self, pools: &mut Pools, len: usize, group: &Group) {
        let passed = self.passed(len, group);
        self.release_to(pools, passed.end, group);
    }

    /// Gives back the pages of the ring before page number `end`.
    pub fn release_to(&mut self, pools: &mut Pools, end: usize, group: &Group) {
        for number in self.first(group)..end {
            let Some(entry) = self.ring.pop_front() else { return };
            entry.release(group, pools);
            self.from = (number + 1) * group.page_tokens;
        }
    }

    /// Gives back the forms of a page that no query at a position from `len` to `end` sees.
    pub fn release_unseen(
        &mut self,
        pools: &mut Pools,
        number: usize,
        (len, end): (usize, usize),
        layout: &Layout,
        group: &Group,
    ) {
        let Some(entry) = self.entry_mut(number, group) else { return };
        for (form, page) in entry.forms() {
            if !layout.needs(form, number, len, end) {
                pools.release(group.of_form(form).pool, page);
                entry.set(form, None);
            }
        }
    }

    /// Whether all that the query at position `len` sees of earlier positions is still held.
    pub fn can_trim(&self, len: usize, group: &Group) -> bool {
        let needed = group.visible_from(len).max(group.sinks);
        // What the window alone would see may be gone, but something of it must be there.
        let needed = needed.max(self.wanted_from.min(len.saturating_sub(1)));
        len <= group.sinks || needed >= len || needed >= self.from
    }

    /// Gives back the pages from position `len` on.
    pub fn trim(&mut self, pools: &mut Pools, len: usize, group: &Group) {
        let end = len.div_ceil(group.page_tokens);
        let keep = if len > self.from { end.saturating_sub(self.first(group)) } else { 0 };
        while self.ring.len() > keep {
            self.ring.pop_back().into_iter().for_each(|entry| entry.release(group, pools));
        }
        while self.sinks.len() > end {
            self.sinks.pop().into_iter().for_each(|entry| entry.release(group, pools));
        }
        // What the sinks hold is all there is.
        self.from = if len <= group.sinks { 0 } else { self.from.min(len) };
        self.wanted_from = self.wanted_from.min(len);
    }

    /// Takes another table's pages over, sharing them.
    pub fn share(&self, pools: &mut Pools, group: &Group) -> Self {
        for (_, entry) in self.entries(group) {
            for (form, page) in entry.forms() {
                pools.share(group.of_form(form).pool, page);
            }
        }
        let mut copy = Self::new(group);
        (copy.from, copy.wanted_from) = (self.from, self.wanted_from);
        copy.sinks.extend_from_slice(&self.sinks);
        copy.ring.extend(&self.ring);
        copy
    }
}
