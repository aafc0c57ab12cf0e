//! One pool: who owns which page, which are free, and where their bytes are.
//!
//! A page that nobody owns is in one of three states: *free*, with memory and any content;
//! *bare*, a number without memory; or *retained*: its content is the beginning of a text that may
//! come again, so it is used for something else only when nothing is free, the one that was
//! longest without an owner first.

use std::io;
use std::num::NonZeroU32;

use memmap2::MmapMut;

use super::buffer::Slab;
use super::layout::FormLayout;
use super::prefix::NodeId;
use super::spill::Place;

/// Pages that a new pool has room for at the most: more come as it grows.
const ROOM: usize = 1 << 12;

/// A page of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PageId(NonZeroU32);

/// The pages of one form of a group. Grows page by page up to its limit.
pub(super) struct Pages {
    pages: Vec<Meta>,
    free: Vec<PageId>,
    bare: Vec<PageId>,
    retained: Retained,
    limit: usize,
    /// Bytes of a page.
    pub bytes: usize,
    pub slab: Slab,
}

#[derive(Debug, Clone, Copy, Default)]
struct Meta {
    /// Tables that list it.
    owners: u32,
    /// Owners that a reservation under examination would take away.
    leaving: u32,
    /// Which beginning it holds, if it is known.
    node: Option<NodeId>,
    /// Where it is in the file, if it is not in memory.
    place: Option<Place>,
    /// Which of the pages is it that a step reads from the file.
    staged: Option<u32>,
    /// Its neighbours among the retained.
    before: Option<PageId>,
    behind: Option<PageId>,
}

/// A list through the pages themselves, so that any can leave it at once.
#[derive(Debug, Default)]
struct Retained {
    first: Option<PageId>,
    last: Option<PageId>,
    count: usize,
}

impl PageId {
    fn of(index: usize) -> Option<Self> {
        NonZeroU32::new(u32::try_from(index + 1).ok()?).map(Self)
    }

    /// From a number of [`number`](Self::number).
    pub fn numbered(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// Tells it from other pages of its pool.
    pub fn number(self) -> u32 {
        self.0.get()
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl Pages {
    /// An empty pool. Pages that are to be moved have memory of their own.
    pub fn new(form: &FormLayout, movable: bool) -> Self {
        let limit = form.limit as usize;
        let room = limit.min(ROOM);
        Self {
            pages: Vec::with_capacity(room),
            free: Vec::with_capacity(room),
            bare: Vec::with_capacity(room),
            retained: Retained::default(),
            limit,
            bytes: form.bytes,
            slab: Slab::new(form.bytes, limit, movable),
        }
    }

    fn meta(&self, page: PageId) -> &Meta {
        &self.pages[page.index()]
    }

    fn meta_mut(&mut self, page: PageId) -> &mut Meta {
        &mut self.pages[page.index()]
    }

    /// Pages that somebody owns.
    pub fn used(&self) -> usize {
        self.pages.len() - self.free.len() - self.bare.len() - self.retained.count
    }

    /// Of these, pages that are in the file.
    pub fn spilled(&self) -> usize {
        self.pages.iter().filter(|page| page.place.is_some()).count()
    }

    /// Pages that nobody owns, kept for their content.
    pub fn retained(&self) -> usize {
        self.retained.count
    }

    /// Pages that can still be taken.
    pub fn available(&self) -> usize {
        self.limit.saturating_sub(self.used())
    }

    /// Pages with memory that can be taken.
    pub fn ready(&self) -> usize {
        self.free.len() + self.retained.count
    }

    /// Whether a page with memory is free.
    pub fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// A page without memory: one more can be made ready.
    fn bare(&mut self) -> io::Result<PageId> {
        if let Some(page) = self.bare.pop() {
            return Ok(page);
        }
        let page = PageId::of(self.pages.len());
        let page = page.ok_or_else(|| io::Error::other("no number is left for another page"))?;
        self.pages.push(Meta::default());
        // All of them may be free.
        self.free.reserve(self.pages.len() - self.free.len());
        self.bare.reserve(self.pages.len() - self.bare.len());
        Ok(page)
    }

    /// Makes one more page ready, with memory from the system.
    pub fn map(&mut self) -> io::Result<()> {
        let page = self.bare()?;
        match self.slab.map(page.index()) {
            Ok(()) => self.free.push(page),
            Err(error) => {
                self.bare.push(page);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Makes one more page ready, with this memory.
    pub fn add(&mut self, memory: MmapMut) -> io::Result<()> {
        let page = self.bare()?;
        self.slab.put(page.index(), memory);
        self.free.push(page);
        Ok(())
    }

    /// Takes the memory of a free page away.
    pub fn take_memory(&mut self) -> Option<MmapMut> {
        let page = self.free.pop()?;
        self.bare.push(page);
        self.slab.take(page.index())
    }

    /// A page with one owner and any content, and the beginning that it held until now; `None` if
    /// none is ready.
    pub fn take(&mut self) -> Option<(PageId, Option<NodeId>)> {
        let page = match self.free.pop() {
            Some(page) => page,
            None => self.oldest_retained()?,
        };
        let meta = self.meta_mut(page);
        meta.owners = 1;
        Some((page, meta.node.take()))
    }

    /// The page that was longest retained, no longer retained.
    fn oldest_retained(&mut self) -> Option<PageId> {
        let page = self.retained.first?;
        self.unlink(page);
        Some(page)
    }

    /// Makes the page that was longest retained free; returns what it held.
    pub fn forget_retained(&mut self) -> Option<NodeId> {
        let page = self.oldest_retained()?;
        self.free.push(page);
        self.meta_mut(page).node.take()
    }

    /// Adds an owner.
    pub fn share(&mut self, page: PageId) {
        if self.meta(page).owners == 0 {
            self.unlink(page);
        }
        self.meta_mut(page).owners += 1;
    }

    /// Takes an owner away; the last one frees the page, or retains it if its content is known.
    /// Returns what becomes free with it: its place in the file and the beginning it held.
    pub fn release(&mut self, page: PageId) -> (Option<Place>, Option<NodeId>) {
        let meta = self.meta_mut(page);
        meta.owners -= 1;
        if meta.owners > 0 {
            return (None, None);
        }
        let place = meta.place.take();
        if place.is_some() {
            let node = meta.node.take();
            self.bare.push(page);
            return (place, node);
        }
        match self.meta(page).node {
            Some(_) => self.retain(page),
            None => self.free.push(page),
        }
        (None, None)
    }

    fn retain(&mut self, page: PageId) {
        let before = self.retained.last.replace(page);
        match before {
            Some(before) => self.meta_mut(before).behind = Some(page),
            None => self.retained.first = Some(page),
        }
        let meta = self.meta_mut(page);
        (meta.before, meta.behind) = (before, None);
        self.retained.count += 1;
    }

    fn unlink(&mut self, page: PageId) {
        let meta = self.meta_mut(page);
        let (before, behind) = (meta.before.take(), meta.behind.take());
        match before {
            Some(before) => self.meta_mut(before).behind = behind,
            None => self.retained.first = behind,
        }
        match behind {
            Some(behind) => self.meta_mut(behind).before = before,
            None => self.retained.last = before,
        }
        self.retained.count -= 1;
    }

    /// Whether more than one table lists the page.
    pub fn is_shared(&self, page: PageId) -> bool {
        self.meta(page).owners > 1
    }

    /// Supposes that one owner leaves; returns how many would be left. Forgotten by
    /// [`stay`](Self::stay).
    pub fn leave(&mut self, page: PageId) -> u32 {
        let page = self.meta_mut(page);
        page.leaving += 1;
        page.owners - page.leaving
    }

    /// Owners left if all who are supposed to leave did.
    pub fn remaining(&self, page: PageId) -> u32 {
        let page = self.meta(page);
        page.owners - page.leaving
    }

    /// Whether a page is in memory and nobody is about to change or leave it.
    pub fn can_move(&self, page: PageId) -> bool {
        let meta = self.meta(page);
        meta.place.is_none() && meta.leaving == 0
    }

    /// Ends the supposition about a page.
    pub fn stay(&mut self, page: PageId) {
        self.meta_mut(page).leaving = 0;
    }

    /// Which beginning a page holds.
    pub fn node(&self, page: PageId) -> Option<NodeId> {
        self.meta(page).node
    }

    /// Says which beginning a page holds; returns what was said before.
    pub fn set_node(&mut self, page: PageId, node: Option<NodeId>) -> Option<NodeId> {
        std::mem::replace(&mut self.meta_mut(page).node, node)
    }

    /// Where in the file a page is.
    pub fn place(&self, page: PageId) -> Option<Place> {
        self.meta(page).place
    }

    /// Takes a page's memory: it is at that place from now on.
    pub fn unload(&mut self, page: PageId) -> Option<MmapMut> {
        self.slab.take(page.index())
    }

    /// Says where in the file a page is.
    pub fn set_place(&mut self, page: PageId, place: Place) {
        self.meta_mut(page).place = Some(place);
    }

    /// Puts a page of the file into memory; returns the place it had.
    pub fn load(&mut self, page: PageId, memory: MmapMut) -> Option<Place> {
        self.slab.put(page.index(), memory);
        self.meta_mut(page).place.take()
    }

    /// Which of the pages of a step it is that are read from the file.
    pub fn staged(&self, page: PageId) -> Option<u32> {
        self.meta(page).staged
    }

    pub fn set_staged(&mut self, page: PageId, staged: Option<u32>) {
        self.meta_mut(page).staged = staged;
    }

    /// A page's bytes.
    ///
    /// # Panics
    /// If it is not in memory, as below.
    pub fn page(&self, page: PageId) -> &[u8] {
        self.slab.page(page.index())
    }

    pub fn page_mut(&mut self, page: PageId) -> &mut [u8] {
        self.slab.page_mut(page.index())
    }

    /// Copies a page's bytes to another page.
    pub fn copy(&mut self, from: PageId, to: PageId) {
        self.slab.copy(from.index(), to.index());
    }

    /// Gives the memory of mappings without a page in use back; returns how many bytes that were.
    pub fn trim(&mut self) -> u64 {
        let Self { pages, free, bare, slab, .. } = self;
        let dropped = slab.drop_unused(|page| pages.get(page).is_some_and(|page| page.owners > 0));
        free.retain(|&page| {
            let keep = slab.has(page.index());
            if !keep {
                bare.push(page);
            }
            keep
        });
        dropped
    }

    /// Pages that have memory, owned or not.
    #[cfg(test)]
    pub fn allocated(&self) -> usize {
        self.pages.len() - self.bare.len()
    }
}
