//! The memory of a pool's pages, as it comes from the system and goes back.
//!
//! Pages lie in anonymous mappings: no memory is behind a page before it is touched, and dropping
//! a mapping gives its memory back at once, which an allocator need not do. Mappings are cut in
//! granules of some kilobytes, so small pages lie several to a mapping.

use std::io;

use memmap2::MmapMut;

/// Bytes that a mapping has at least, unless the pool is smaller: granules of 4 KiB then cost
/// less than two percent.
const MAPPING: usize = 256 << 10;

/// Memory of numbered pages of one size.
pub(super) struct Slab {
    mappings: Vec<Option<MmapMut>>,
    page_bytes: usize,
    /// Pages in a mapping.
    per_mapping: usize,
}

impl Slab {
    /// No memory yet, for pages of `page_bytes`, at most `limit` of them. Pages that are to be
    /// moved one by one have mappings of their own.
    pub fn new(page_bytes: usize, limit: usize, one_by_one: bool) -> Self {
        let together = MAPPING.div_ceil(page_bytes.max(1)).min(limit).max(1);
        let per_mapping = if one_by_one { 1 } else { together };
        Self { mappings: Vec::new(), page_bytes, per_mapping }
    }

    fn place(&self, page: usize) -> (usize, usize) {
        (page / self.per_mapping, page % self.per_mapping * self.page_bytes)
    }

    /// Bytes of a mapping.
    pub fn mapping_bytes(&self) -> usize {
        self.per_mapping * self.page_bytes
    }

    /// Whether a page has memory.
    pub fn has(&self, page: usize) -> bool {
        self.mappings.get(page / self.per_mapping).is_some_and(Option::is_some)
    }

    /// Gives a page memory, if it has none.
    pub fn map(&mut self, page: usize) -> io::Result<()> {
        if !self.has(page) {
            let memory = MmapMut::map_anon(self.mapping_bytes())?;
            self.put(page, memory);
        }
        Ok(())
    }

    /// Gives a page, and those that lie beside it, this memory.
    pub fn put(&mut self, page: usize, memory: MmapMut) {
        debug_assert_eq!(memory.len(), self.mapping_bytes());
        let mapping = page / self.per_mapping;
        if self.mappings.len() <= mapping {
            self.mappings.resize_with(mapping + 1, || None);
        }
        self.mappings[mapping] = Some(memory);
    }

    /// Takes the memory of a page away, and of those that lie beside it.
    pub fn take(&mut self, page: usize) -> Option<MmapMut> {
        self.mappings.get_mut(page / self.per_mapping)?.take()
    }

    /// Bytes of a page.
    ///
    /// # Panics
    /// If it has no memory, as below.
    pub fn page(&self, page: usize) -> &[u8] {
        let (mapping, start) = self.place(page);
        let mapping = self.mappings[mapping].as_ref().expect("pages in memory alone are read");
        &mapping[start..start + self.page_bytes]
    }

    /// Bytes of a page, to be written.
    pub fn page_mut(&mut self, page: usize) -> &mut [u8] {
        let (mapping, start) = self.place(page);
        let mapping = self.mappings[mapping].as_mut().expect("pages in memory alone are written");
        &mut mapping[start..start + self.page_bytes]
    }

    /// Copies a page.
    pub fn copy(&mut self, from: usize, to: usize) {
        let ((one, start), (other, target)) = (self.place(from), self.place(to));
        let bytes = start..start + self.page_bytes;
        if one == other {
            let mapping = self.mappings[one].as_mut().expect("pages in memory alone are copied");
            mapping.copy_within(bytes, target);
            return;
        }
        let [from, to] =
            self.mappings.get_disjoint_mut([one, other]).expect("two mappings of this slab");
        let from = from.as_ref().expect("pages in memory alone are copied");
        let to = to.as_mut().expect("pages in memory alone are written");
        to[target..target + self.page_bytes].copy_from_slice(&from[bytes]);
    }

    /// Drops the mappings of which no page is `used`; returns how many bytes that were.
    pub fn drop_unused(&mut self, used: impl Fn(usize) -> bool) -> u64 {
        let mut dropped = 0;
        for (index, mapping) in self.mappings.iter_mut().enumerate() {
            let mut pages = index * self.per_mapping..(index + 1) * self.per_mapping;
            if mapping.is_some() && !pages.any(&used) {
                *mapping = None;
                dropped += (self.per_mapping * self.page_bytes) as u64;
            }
        }
        dropped
    }

    /// Bytes of all mappings.
    pub fn bytes(&self) -> u64 {
        let mappings = self.mappings.iter().flatten().count();
        (mappings * self.mapping_bytes()) as u64
    }
}
