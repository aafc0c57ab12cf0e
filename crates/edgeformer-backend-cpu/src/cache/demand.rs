//! What a change of tables asks of the pools, counted before anything changes.

use edgeformer_core::{Error, Result};

use super::Sequence;
use super::layout::{Form, Group, Layout};
use super::pools::Pools;
use super::table::Entry;

/// What is asked of a pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Demand {
    /// Pages that will be taken.
    needed: usize,
    /// Pages that lose their last owner before.
    freed: usize,
    /// Of these, pages with memory.
    freed_ready: usize,
    /// Pages of the file that will be written, and must be in memory for that.
    restored: usize,
}

/// What is asked of every pool.
#[derive(Debug, Default)]
pub(super) struct Demands {
    by_pool: Vec<Demand>,
    /// Pages that must be ready before the change begins.
    ready: Vec<usize>,
}

impl Demands {
    pub fn new(pools: usize) -> Self {
        Self { by_pool: vec![Demand::default(); pools], ready: vec![0; pools] }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.by_pool.fill(Demand::default());
    }

    /// Another page of a pool is needed.
    pub fn need(&mut self, pool: usize) {
        self.by_pool[pool].needed += 1;
    }

    /// An owner of each page of an entry goes.
    pub fn leave_all(&mut self, entry: Entry, group: &Group, pools: &mut Pools) {
        for (form, _) in entry.forms() {
            self.leave(entry, form, group, pools);
        }
    }

    /// An owner of a page goes.
    fn leave(&mut self, entry: Entry, form: Form, group: &Group, pools: &mut Pools) {
        let (Some(page), pool) = (entry.get(form), group.of_form(form).pool) else { return };
        if pools.all[pool].leave(page) == 0 {
            self.by_pool[pool].freed += 1;
            self.by_pool[pool].freed_ready += usize::from(pools.all[pool].place(page).is_none());
        }
    }

    /// A page goes to those forms that queries from `len` to `end` see, and to no other.
    pub fn change(
        &mut self,
        (number, entry): (usize, Entry),
        (len, end): (usize, usize),
        layout: &Layout,
        group: &Group,
        pools: &mut Pools,
    ) {
        for form in Form::ALL {
            match (entry.get(form), layout.needs(form, number, len, end)) {
                (Some(_), false) => self.leave(entry, form, group, pools),
                (None, true) => self.need(group.of_form(form).pool),
                _ => {}
            }
        }
    }

    /// A page will be written, or read to make another of it: it is copied if others own it, and
    /// it stays in memory until that is done.
    pub fn write(&mut self, entry: Entry, form: Form, group: &Group, pools: &mut Pools) {
        let (Some(page), pool) = (entry.get(form), group.of_form(form).pool) else { return };
        self.by_pool[pool].needed += usize::from(pools.all[pool].remaining(page) > 1);
        self.read(entry, form, group, pools);
    }

    /// A page will be read to make another of it.
    pub fn read(&mut self, entry: Entry, form: Form, group: &Group, pools: &mut Pools) {
        let (Some(page), pool) = (entry.get(form), group.of_form(form).pool) else { return };
        self.by_pool[pool].restored += usize::from(pools.all[pool].place(page).is_some());
        if pools.all[pool].remaining(page) > 0 {
            pools.all[pool].leave(page);
        }
    }

    /// Whether all pools have as much.
    pub fn check(&self, pools: &Pools) -> Result<()> {
        for (demand, pages) in self.by_pool.iter().zip(&pools.all) {
            let free = pages.available() + demand.freed;
            if demand.needed > free {
                return Err(Error::CacheFull { needed: demand.needed, free });
            }
        }
        Ok(())
    }

    /// Pages of every pool that must be ready before the change begins.
    pub fn ready(&mut self) -> &[usize] {
        for (ready, demand) in self.ready.iter_mut().zip(&self.by_pool) {
            *ready = demand.restored + demand.needed.saturating_sub(demand.freed_ready);
        }
        &self.ready
    }
}

impl Sequence {
    /// Ends all suppositions about the sequence's pages.
    pub(super) fn stay(&self, layout: &Layout, pools: &mut Pools) {
        for (table, group) in self.tables.iter().zip(&layout.groups) {
            for (_, entry) in table.entries(group) {
                for (form, page) in entry.forms() {
                    pools.all[group.of_form(form).pool].stay(page);
                }
            }
        }
    }
}
