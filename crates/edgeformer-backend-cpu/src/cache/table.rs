//! The pages of one sequence in one group, and what a window lets go.
//!
//! A table covers positions from `from` to the end of its last page. Without a window `from` is 0;
//! with one it moves up a page at a time, and the list is a ring: pages leave at the front and
//! come back at the end.

use std::collections::VecDeque;

use super::pages::{PageId, Pages};

/// The pages of a sequence, in the order of positions.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// The oldest position that is held. Lies in the first page of the list, if there is one.
    from: usize,
    pages: VecDeque<PageId>,
}

/// The oldest cached position that the query at position `len` sees.
pub(super) fn visible_from(len: usize, window: Option<usize>) -> usize {
    window.map_or(0, |window| (len + 1).saturating_sub(window))
}

impl Table {
    /// A table that will hold positions from `from` on.
    pub fn starting_at(from: usize) -> Self {
        Self { from, pages: VecDeque::new() }
    }

    /// The oldest position that is held.
    pub fn from(&self) -> usize {
        self.from
    }

    /// All pages.
    pub fn pages(&self) -> impl Iterator<Item = PageId> {
        self.pages.iter().copied()
    }

    /// The page that holds `position`, if it is in the list.
    pub fn page(&self, position: usize, page_tokens: usize) -> Option<PageId> {
        let index = (position / page_tokens).checked_sub(self.from / page_tokens)?;
        self.pages.get(index).copied()
    }

    /// Puts another page in the place of the one that holds `position`.
    pub fn replace(&mut self, position: usize, page_tokens: usize, page: PageId) {
        let index = position / page_tokens - self.from / page_tokens;
        self.pages[index] = page;
    }

    /// Adds a page at the young end.
    pub fn push(&mut self, page: PageId) {
        self.pages.push_back(page);
    }

    /// Pages to add before positions up to `end` can be stored.
    pub fn missing(&self, end: usize, page_tokens: usize) -> usize {
        (end.div_ceil(page_tokens) - self.from / page_tokens).saturating_sub(self.pages.len())
    }

    /// The pages at the old end that queries from position `len` on do not see.
    pub fn passed(
        &self,
        len: usize,
        window: Option<usize>,
        page_tokens: usize,
    ) -> impl Iterator<Item = PageId> {
        let count = visible_from(len, window) / page_tokens;
        self.pages().take(count.saturating_sub(self.from / page_tokens))
    }

    /// Gives back the pages that queries from position `len` on do not see.
    pub fn release_passed(
        &mut self,
        pages: &mut Pages,
        len: usize,
        window: Option<usize>,
        page_tokens: usize,
    ) {
        for _ in 0..self.passed(len, window, page_tokens).count() {
            if let Some(page) = self.pages.pop_front() {
                pages.release(page);
                self.from = (self.from / page_tokens + 1) * page_tokens;
            }
        }
    }

    /// Whether all that the query at position `len` sees of earlier positions is still held.
    pub fn can_trim(&self, len: usize, window: Option<usize>) -> bool {
        let visible = visible_from(len, window);
        visible >= len || visible >= self.from
    }

    /// Gives back what lies at position `len` and beyond.
    pub fn trim(&mut self, pages: &mut Pages, len: usize, page_tokens: usize) {
        let keep = match len > self.from {
            true => len.div_ceil(page_tokens) - self.from / page_tokens,
            false => 0,
        };
        while self.pages.len() > keep {
            let page = self.pages.pop_back().expect("the list is longer than what is kept");
            pages.release(page);
        }
        self.from = self.from.min(len);
    }
}
