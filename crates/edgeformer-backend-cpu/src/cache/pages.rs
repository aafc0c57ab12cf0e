//! The pool of a group: who owns which page, which are free, and their memory.

use std::ops::Range;

use edgeformer_core::CacheFormat;
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::layout::{Group, Layout};
use super::runs::CacheRows;

/// A page of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageId(u32);

/// The pages of a group. Grows page by page up to its limit; pages that nobody owns are reused.
pub(super) struct Pages {
    pages: Vec<Page>,
    free: Vec<PageId>,
    limit: usize,
    keys: (CacheFormat, usize),
    values: (CacheFormat, usize),
}

pub(super) struct Page {
    pub keys: Elements,
    pub values: Elements,
    /// Tables that list it.
    owners: u32,
    /// Owners that a reservation under examination would take away.
    leaving: u32,
}

/// A vector in a cache format.
pub(super) enum Elements {
    F32(Vec<f32>),
    F16(Vec<f16>),
}

impl Pages {
    /// An empty pool.
    pub fn new(group: &Group, layout: &Layout) -> Self {
        Self {
            pages: Vec::new(),
            free: Vec::new(),
            limit: group.limit as usize,
            keys: (layout.keys, group.key_elements * layout.page_tokens),
            values: (layout.values, group.value_elements * layout.page_tokens),
        }
    }

    /// Pages that somebody owns.
    pub fn used(&self) -> usize {
        self.pages.len() - self.free.len()
    }

    /// Pages that can still be taken.
    pub fn available(&self) -> usize {
        self.limit - self.used()
    }

    /// A page with one owner and any content, `None` at the limit.
    pub fn take(&mut self) -> Option<PageId> {
        if let Some(page) = self.free.pop() {
            self.pages[page.index()].owners = 1;
            return Some(page);
        }
        if self.pages.len() == self.limit {
            return None;
        }
        self.pages.push(Page {
            keys: Elements::zeros(self.keys),
            values: Elements::zeros(self.values),
            owners: 1,
            leaving: 0,
        });
        Some(PageId(self.pages.len() as u32 - 1))
    }

    /// Adds an owner.
    pub fn share(&mut self, page: PageId) {
        self.pages[page.index()].owners += 1;
    }

    /// Takes an owner away; the last one frees the page.
    pub fn release(&mut self, page: PageId) {
        let owners = &mut self.pages[page.index()].owners;
        *owners -= 1;
        if *owners == 0 {
            self.free.push(page);
        }
    }

    /// Whether more than one table lists the page.
    pub fn is_shared(&self, page: PageId) -> bool {
        self.pages[page.index()].owners > 1
    }

    /// A copy of `page` with one owner, who gives up the original. `None` at the limit.
    pub fn copy(&mut self, page: PageId) -> Option<PageId> {
        let copy = self.take()?;
        let [from, to] = self
            .pages
            .get_disjoint_mut([page.index(), copy.index()])
            .expect("a page just taken is not one in use");
        to.keys.copy_from(&from.keys);
        to.values.copy_from(&from.values);
        self.release(page);
        Some(copy)
    }

    /// Supposes that one owner leaves; returns how many would be left. Forgotten by
    /// [`stay`](Self::stay).
    pub fn leave(&mut self, page: PageId) -> u32 {
        let page = &mut self.pages[page.index()];
        page.leaving += 1;
        page.owners - page.leaving
    }

    /// Owners left if all who are supposed to leave did.
    pub fn remaining(&self, page: PageId) -> u32 {
        let page = &self.pages[page.index()];
        page.owners - page.leaving
    }

    /// Ends the supposition about a page.
    pub fn stay(&mut self, page: PageId) {
        self.pages[page.index()].leaving = 0;
    }

    /// Pages that have memory, owned or not.
    #[cfg(test)]
    pub fn allocated(&self) -> usize {
        self.pages.len()
    }

    pub fn get(&self, page: PageId) -> &Page {
        &self.pages[page.index()]
    }

    pub fn get_mut(&mut self, page: PageId) -> &mut Page {
        &mut self.pages[page.index()]
    }
}

impl PageId {
    /// Tells it from other pages of its pool.
    #[cfg(test)]
    pub fn number(self) -> u32 {
        self.0
    }

    fn index(self) -> usize {
        self.0 as usize
    }
}

impl Elements {
    fn zeros((format, len): (CacheFormat, usize)) -> Self {
        match format {
            CacheFormat::F32 => Self::F32(vec![0.0; len]),
            _ => Self::F16(vec![f16::ZERO; len]),
        }
    }

    fn copy_from(&mut self, other: &Self) {
        match (self, other) {
            (Self::F32(to), Self::F32(from)) => to.copy_from_slice(from),
            (Self::F16(to), Self::F16(from)) => to.copy_from_slice(from),
            _ => unreachable!("the pages of a pool have one format"),
        }
    }

    /// The format of an element.
    pub fn format(&self) -> CacheFormat {
        match self {
            Self::F32(_) => CacheFormat::F32,
            Self::F16(_) => CacheFormat::F16,
        }
    }

    /// Some of the elements.
    pub fn rows(&self, range: Range<usize>) -> CacheRows<'_> {
        match self {
            Self::F32(elements) => CacheRows::F32(&elements[range]),
            Self::F16(elements) => CacheRows::F16(&elements[range]),
        }
    }

    /// Stores `values` from element `start` on, rounded to the format.
    pub fn store(&mut self, start: usize, values: &[f32]) {
        match self {
            Self::F32(elements) => elements[start..][..values.len()].copy_from_slice(values),
            Self::F16(elements) => {
                elements[start..][..values.len()].convert_from_f32_slice(values);
            }
        }
    }

    /// Stores the elements whose little-endian bytes these are, from element `start` on.
    pub fn store_bytes(&mut self, start: usize, bytes: &[u8]) {
        match self {
            Self::F32(elements) => {
                for (to, &from) in elements[start..].iter_mut().zip(bytes.as_chunks().0) {
                    *to = f32::from_le_bytes(from);
                }
            }
            Self::F16(elements) => {
                for (to, &from) in elements[start..].iter_mut().zip(bytes.as_chunks().0) {
                    *to = f16::from_le_bytes(from);
                }
            }
        }
    }
}
