use super::Pool;
use super::queue::Queue;

impl Pool {
    /// Calls `work(thread, item)` once for every item, on whichever thread is free first, and
    /// returns when all are done. `thread` is below [`Pool::threads`], and no two calls at the
    /// same time have the same.
    ///
    /// Items are handed out in order under a lock, so an iterator over disjoint `&mut` parts of a
    /// matrix is all it takes to write it from several threads. An item should be worth some
    /// microseconds; smaller ones should come from an iterator that knows how many are left, so
    /// that several are handed out at once. Must not be called from within `work`.
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
        let queue = Queue::new(items, self.threads());
        self.run(&|thread| {
            let mut batch = queue.take();
            while batch[0].is_some() {
                batch.into_iter().flatten().for_each(|item| work(thread, item));
                batch = queue.take();
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
