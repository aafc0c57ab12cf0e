use std::sync::{Mutex, PoisonError};

use super::Pool;

impl Pool {
    /// Calls `work(thread, item)` once for every item, on whichever thread is free first, and
    /// returns when all are done. `thread` is below [`Pool::threads`], and no two calls at the
    /// same time have the same.
    ///
    /// Items are taken one by one under a lock, so an iterator over disjoint `&mut` parts of a
    /// matrix is all it takes to write it from several threads. An item should be worth some
    /// microseconds. Must not be called from within `work`.
    ///
    /// # Panics
    /// If `work` does, once every thread has stopped.
    pub(crate) fn for_each<I, W>(&self, items: I, work: W)
    where
        I: Iterator + Send,
        W: Fn(usize, I::Item) + Sync,
    {
        if self.threads() == 1 {
            return items.for_each(|item| work(0, item));
        }
        let items = Mutex::new(items);
        self.run(&|thread| {
            while let Some(item) = next(&items) {
                work(thread, item);
            }
        });
    }

    /// [`for_each`](Self::for_each) if `worthwhile`, else the same on the calling thread alone:
    /// waking others for a few microseconds of work costs more than it saves.
    pub(crate) fn for_each_if<I, W>(&self, worthwhile: bool, items: I, work: W)
    where
        I: Iterator + Send,
        W: Fn(usize, I::Item) + Sync,
    {
        if worthwhile {
            return self.for_each(items, work);
        }
        items.for_each(|item| work(0, item));
    }
}

fn next<I: Iterator>(items: &Mutex<I>) -> Option<I::Item> {
    items.lock().unwrap_or_else(PoisonError::into_inner).next()
}
