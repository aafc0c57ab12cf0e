//! Pages that do not fit into memory: when they leave it, and how a step reads them.
//!
//! Memory of pages has a bound, and only full pages leave it, the oldest of the longest sequence
//! first: they are read in order, once a layer, whoever is asked. A step that reads pages of the
//! file knows at its reservation which, and gives each a number. For one op after the other the
//! sections of all of them are read into one of two buffers while the other is computed with:
//!
//! ```text
//! fetch(0)   read 0 into a | start 1 into b
//! fetch(1)   b is there    | start 2 into a        runs() lends parts of the current buffer
//! ```

use edgeformer_core::graph::CacheSlot;
use edgeformer_core::{Error, Result, SessionOptions};
use memmap2::MmapMut;

use super::layout::{Budget, Form, Layout};
use super::pages::{PageId, Pages};
use super::pools::{Pools, no_memory};
use super::spill::{Request, Spill};

/// Where parts begin in a buffer, as sections do in pages.
const ALIGN: usize = 64;

/// The file, and what a step reads from it.
pub(super) struct Tier {
    pub spill: Spill<MmapMut>,
    budget: Budget,
    /// The pages that the step reads: pool and page.
    list: Vec<(usize, PageId)>,
    /// How many of them are of each pool.
    counts: Vec<u32>,
    requests: Vec<Request>,
    /// What the current op reads, and where the parts of each group begin.
    current: Vec<u8>,
    starts: Vec<usize>,
    loaded: Option<CacheSlot>,
    /// The other buffer, while it is not being read into.
    spare: Vec<u8>,
    /// The op that is being read for.
    reading: Option<CacheSlot>,
}

impl Tier {
    /// The file of a session that may have one, if it is needed.
    pub fn new(layout: &Layout, options: &SessionOptions) -> Result<Option<Self>> {
        let (Some(budget), Some(folder)) = (layout.budget, &options.tiers.spill) else {
            return Ok(None);
        };
        let bytes = if budget.buffer > 0 { budget.buffer + ALIGN } else { 0 };
        let pages = layout.forms().map(|form| form.limit as usize).sum::<usize>().min(1 << 16);
        Ok(Some(Self {
            spill: Spill::create(folder)?,
            budget,
            list: Vec::with_capacity(pages),
            counts: vec![0; layout.pools],
            requests: Vec::with_capacity(pages),
            current: vec![0; bytes],
            starts: vec![0; layout.groups.len()],
            loaded: None,
            spare: vec![0; bytes],
            reading: None,
        }))
    }

    /// Bytes of page memory: in pools, and on its way to the file.
    fn resident(&self, pools: &[Pages]) -> u64 {
        pools.iter().map(|pages| pages.slab.bytes()).sum::<u64>() + self.spill.held()
    }

    /// Lets memory of pages that were written go.
    pub fn drop_written(&mut self, pools: &[Pages]) -> u64 {
        let before = self.spill.held();
        for pages in pools {
            while self.spill.reclaim(pages.bytes).is_some() {}
        }
        before - self.spill.held()
    }

    /// Forgets what the last step read.
    fn begin(&mut self, pools: &mut [Pages]) {
        for (pool, page) in self.list.drain(..) {
            pools[pool].set_staged(page, None);
        }
        self.counts.fill(0);
        self.loaded = None;
        self.discard();
    }

    /// Waits for a read that nobody wants any more.
    fn discard(&mut self) {
        if self.reading.take().is_some() {
            // Whatever came of it; a lost buffer is made anew.
            self.spare = self.spill.finish_read().unwrap_or_default();
        }
    }

    /// Numbers a page of the file that the step reads.
    fn add(&mut self, pools: &mut [Pages], pool: usize, page: PageId) {
        if pools[pool].place(page).is_some() && pools[pool].staged(page).is_none() {
            pools[pool].set_staged(page, Some(self.counts[pool]));
            self.counts[pool] += 1;
            self.list.push((pool, page));
        }
    }

    /// Where the parts of each group begin for an op, from the buffer's aligned start on, and
    /// where the last ends.
    fn start_of(&self, layout: &Layout, slot: CacheSlot, group: usize) -> usize {
        let before = layout.groups[..group].iter().map(|group| {
            let form = group.of_form(Form::Main);
            let part = group.parts.iter().position(|part| part.slot == slot);
            part.map_or(0, |part| self.counts[form.pool] as usize * form.sections[part].bytes)
        });
        before.sum()
    }

    /// Starts reading what an op needs into the spare buffer.
    fn start(&mut self, pools: &[Pages], layout: &Layout, slot: CacheSlot) {
        let mut buffer = std::mem::take(&mut self.spare);
        let bytes = self.start_of(layout, slot, layout.groups.len()) + ALIGN;
        if buffer.len() < bytes {
            buffer.resize(bytes, 0);
        }
        let aligned = buffer.as_ptr().align_offset(ALIGN);
        self.requests.clear();
        for (index, group) in layout.groups.iter().enumerate() {
            let form = group.of_form(Form::Main);
            let part = group.parts.iter().position(|part| part.slot == slot);
            let Some(section) = part.map(|part| &form.sections[part]) else { continue };
            let start = aligned + self.start_of(layout, slot, index);
            for &(pool, page) in self.list.iter().filter(|(pool, _)| *pool == form.pool) {
                let (place, staged) = (pools[pool].place(page), pools[pool].staged(page));
                if let (Some(place), Some(staged)) = (place, staged) {
                    let to = start + staged as usize * section.bytes;
                    let (from, len) = (section.range().start, section.bytes);
                    self.requests.push(Request { place, from, len, to });
                }
            }
        }
        self.spill.start_read(&self.requests, buffer);
        self.reading = Some(slot);
    }

    /// See [`PagedCache::fetch`](super::PagedCache::fetch).
    fn fetch(&mut self, pools: &[Pages], layout: &Layout, slot: CacheSlot) -> Result<()> {
        if self.list.is_empty() {
            return Ok(());
        }
        if self.loaded != Some(slot) {
            if self.reading != Some(slot) {
                self.discard();
                self.start(pools, layout, slot);
            }
            self.reading = None;
            self.loaded = None;
            let buffer = self.spill.finish_read()?;
            self.spare = std::mem::replace(&mut self.current, buffer);
            self.loaded = Some(slot);
            for group in 0..layout.groups.len() {
                self.starts[group] = self.start_of(layout, slot, group);
            }
        }
        let next = CacheSlot(slot.0 + 1);
        if self.reading.is_none() && (next.0 as usize) < layout.slots.len() {
            self.start(pools, layout, next);
        }
        Ok(())
    }

    /// The section of an op in a page of the file.
    ///
    /// # Panics
    /// If it was not fetched.
    pub fn section(&self, slot: CacheSlot, group: usize, staged: u32, bytes: usize) -> &[u8] {
        assert_eq!(self.loaded, Some(slot), "pages of the file are fetched before they are read");
        let aligned = self.current.as_ptr().align_offset(ALIGN);
        &self.current[aligned + self.starts[group] + staged as usize * bytes..][..bytes]
    }
}

impl Pools {
    /// Makes one more page of a pool ready, moving others out of memory if need be.
    pub(super) fn prepare_within_budget(
        &mut self,
        pool: usize,
        wanted: &[usize],
        victim: &impl Fn(&Self) -> Option<(usize, PageId)>,
    ) -> Result<()> {
        let bytes = self.all[pool].bytes;
        loop {
            let Some(tier) = &mut self.tier else { return Ok(()) };
            if let Some(memory) = tier.spill.reclaim(bytes) {
                return self.all[pool].add(memory).map_err(no_memory);
            }
            if tier.resident(&self.all) + bytes as u64 <= tier.budget.resident {
                return self.all[pool].map().map_err(no_memory);
            }
            if self.drop_idle(wanted) {
                continue;
            }
            let written = self.tier.as_mut().and_then(|tier| tier.spill.reclaim_blocking(bytes));
            if let Some(memory) = written {
                return self.all[pool].add(memory).map_err(no_memory);
            }
            if self.drop_written() {
                continue;
            }
            if let Some(error) = self.tier.as_mut().and_then(|tier| tier.spill.failure()) {
                return Err(error);
            }
            let Some((pool, page)) = victim(self) else {
                return Err(Error::CacheFull { needed: 1, free: 0 });
            };
            self.move_out(pool, page);
        }
    }

    /// Drops memory of a page that nobody owns and no pool wants.
    fn drop_idle(&mut self, wanted: &[usize]) -> bool {
        for (pool, &wanted) in wanted.iter().enumerate() {
            if self.all[pool].ready() <= wanted {
                continue;
            }
            if self.all[pool].take_memory().is_some() {
                return true;
            }
            self.forget_retained(pool);
            return self.all[pool].take_memory().is_some();
        }
        false
    }

    /// Waits for memory of a page on its way to the file, and lets it go.
    fn drop_written(&mut self) -> bool {
        let Self { all, tier: Some(tier), .. } = self else { return false };
        all.iter().any(|pages| tier.spill.reclaim_blocking(pages.bytes).is_some())
    }

    /// Moves a page to the file.
    pub(super) fn move_out(&mut self, pool: usize, page: PageId) {
        let Self { all, tier: Some(tier), .. } = self else { return };
        if let Some(memory) = all[pool].unload(page) {
            let place = tier.spill.write(memory);
            all[pool].set_place(page, place);
        }
    }

    /// Moves a page of the file into memory that was made ready.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn move_in(&mut self, pool: usize, page: PageId) -> Result<()> {
        let Some(place) = self.all[pool].place(page) else { return Ok(()) };
        if !self.all[pool].has_free() {
            self.forget_retained(pool);
        }
        let Self { all, tier: Some(tier), .. } = self else { return Ok(()) };
        let Some(mut memory) = all[pool].take_memory() else {
            return Err(Error::CacheFull { needed: 1, free: 0 });
        };
        if let Err(error) = tier.spill.read_now(place, 0, &mut memory) {
            all[pool].add(memory).map_err(no_memory)?;
            return Err(error);
        }
        if let Some(place) = all[pool].load(page, memory) {
            tier.spill.free(place);
        }
        Ok(())
    }

    /// Whether another page of some pool would not fit into memory.
    pub(super) fn is_short(&self) -> bool {
        let Some(tier) = &self.tier else { return false };
        let resident = tier.resident(&self.all);
        let short = |pages: &Pages| {
            pages.ready() == 0 && resident + pages.bytes as u64 > tier.budget.resident
        };
        tier.spill.held() == 0 && self.all.iter().any(short)
    }

    /// Lists the pages of the file among `pages`, which a step reads.
    pub fn stage(&mut self, pages: impl Iterator<Item = (usize, PageId)>) {
        let Self { all, tier: Some(tier), .. } = self else { return };
        tier.begin(all);
        pages.for_each(|(pool, page)| tier.add(all, pool, page));
    }

    /// See [`PagedCache::fetch`](super::PagedCache::fetch).
    pub fn fetch(&mut self, layout: &Layout, slot: CacheSlot) -> Result<()> {
        let Self { all, tier: Some(tier), .. } = self else { return Ok(()) };
        tier.fetch(all, layout, slot)
    }
}
