//! All pools together, with what is known of their pages: the beginnings of texts that they hold,
//! and the file that pages go to when memory is short.

use edgeformer_core::{Error, Result, SessionOptions};

use super::layout::Layout;
use super::pages::{PageId, Pages};
use super::prefix::PrefixIndex;
use super::tier::Tier;

/// Why taking a page cannot fail.
pub(super) const COUNTED: &str = "a reservation has counted and prepared the pages";

/// The pools of a cache, one a form of a group.
pub(super) struct Pools {
    pub all: Vec<Pages>,
    /// Which pages hold which beginnings, if sequences may share them.
    pub index: Option<PrefixIndex>,
    /// Where pages go when memory is short.
    pub tier: Option<Tier>,
}

impl Pools {
    /// Empty pools.
    ///
    /// # Errors
    /// If there is a folder for a file, and none can be made in it.
    pub fn new(
        layout: &Layout,
        options: &SessionOptions,
        index: Option<PrefixIndex>,
    ) -> Result<Self> {
        let tier = Tier::new(layout, options)?;
        let all = layout.forms().map(|form| Pages::new(form, tier.is_some())).collect();
        Ok(Self { all, index, tier })
    }

    /// A page with one owner and any content.
    ///
    /// # Panics
    /// If none is ready.
    pub fn take(&mut self, pool: usize) -> PageId {
        let (page, node) = self.all[pool].take().expect(COUNTED);
        if let (Some(node), Some(index)) = (node, &mut self.index) {
            index.clear_page(node, pool);
        }
        page
    }

    /// Adds an owner.
    pub fn share(&mut self, pool: usize, page: PageId) {
        self.all[pool].share(page);
    }

    /// Takes an owner away.
    pub fn release(&mut self, pool: usize, page: PageId) {
        let (place, node) = self.all[pool].release(page);
        if let (Some(node), Some(index)) = (node, &mut self.index) {
            index.clear_page(node, pool);
        }
        if let (Some(place), Some(tier)) = (place, &mut self.tier) {
            tier.spill.free(place);
        }
    }

    /// A page that may be written instead of `page`: a copy, if others own it too.
    ///
    /// # Panics
    /// If no page is ready, or the original is not in memory.
    pub fn own(&mut self, pool: usize, page: PageId) -> PageId {
        if !self.all[pool].is_shared(page) {
            self.disown(pool, page);
            return page;
        }
        let copy = self.take(pool);
        self.all[pool].copy(page, copy);
        self.release(pool, page);
        copy
    }

    /// Forgets which beginning a page holds: it is about to be written.
    fn disown(&mut self, pool: usize, page: PageId) {
        let node = self.all[pool].set_node(page, None);
        if let (Some(node), Some(index)) = (node, &mut self.index) {
            index.clear_page(node, pool);
        }
    }

    /// Two pools, to copy from one to the other.
    ///
    /// # Panics
    /// If they are the same.
    pub fn pair(&mut self, from: usize, to: usize) -> (&Pages, &mut Pages) {
        let [from, to] = self.all.get_disjoint_mut([from, to]).expect("two forms have two pools");
        (from, to)
    }

    /// Makes pages ready: as many in each pool as `wanted` says. `victim` names a page that may
    /// go to the file.
    ///
    /// # Errors
    /// If memory or the file refuses. Nothing is lost: what has been made ready stays so.
    pub fn prepare(
        &mut self,
        wanted: &[usize],
        victim: impl Fn(&Self) -> Option<(usize, PageId)>,
    ) -> Result<()> {
        for (pool, &count) in wanted.iter().enumerate() {
            while self.all[pool].ready() < count {
                if self.tier.is_some() {
                    self.prepare_within_budget(pool, wanted, &victim)?;
                } else {
                    self.all[pool].map().map_err(no_memory)?;
                }
            }
        }
        Ok(())
    }

    /// Makes the page that was longest retained free.
    pub fn forget_retained(&mut self, pool: usize) {
        let node = self.all[pool].forget_retained();
        if let (Some(node), Some(index)) = (node, &mut self.index) {
            index.clear_page(node, pool);
        }
    }

    /// Gives memory of pages that nobody owns back to the system; returns how many bytes.
    pub fn trim(&mut self) -> u64 {
        let mut bytes = 0;
        for pool in 0..self.all.len() {
            while self.all[pool].retained() > 0 {
                self.forget_retained(pool);
            }
            bytes += self.all[pool].trim();
        }
        bytes + self.tier.as_mut().map_or(0, |tier| tier.drop_written(&self.all))
    }
}

/// An error of the system when asked for memory.
pub(super) fn no_memory(error: std::io::Error) -> Error {
    let problem = format!("no memory for another page of the cache: {error}; lower the context");
    Error::Backend { backend: "cpu".into(), problem }
}
