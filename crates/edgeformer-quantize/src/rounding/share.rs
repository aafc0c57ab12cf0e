//! Work shared out over threads.

use std::sync::Mutex;

use crate::Result;

/// Weights that a thread takes at a time, about.
const SHARE: usize = 1 << 16;

/// Rows of so many weights that a thread takes at a time.
pub fn rows_each(columns: usize) -> usize {
    (SHARE / columns).max(1)
}

/// Calls `work` for every `size` items with their index, on so many threads.
///
/// What a chunk becomes does not depend on who works on it.
///
/// # Errors
/// The first that `work` gives.
pub fn share<T: Send>(
    items: &mut [T],
    size: usize,
    threads: usize,
    work: impl Fn(usize, &mut [T]) -> Result<()> + Sync,
) -> Result<()> {
    let count = items.len().div_ceil(size.max(1));
    let chunks = Mutex::new(items.chunks_mut(size.max(1)).enumerate());
    // A worker that panicked leaves the iterator whole.
    let next = || chunks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    let worker = || -> Result<()> {
        while let Some((index, chunk)) = next() {
            work(index, chunk)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let helpers: Vec<_> =
            (1..threads.clamp(1, count.max(1))).map(|_| scope.spawn(worker)).collect();
        let own = worker();
        helpers.into_iter().fold(own, |result, helper| {
            let other = helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result.and(other)
        })
    })
}
