use std::sync::PoisonError;

use super::sync::Mutex;

/// Items that are taken at once, at most.
pub(super) const BATCH: usize = 8;

/// Shares each thread takes its part of what is left in: the smaller the part, the better the
/// last ones even out.
const SHARES: usize = 4;

/// The items of an iterator, handed out in order to whoever asks.
///
/// As many are handed out at once as a quarter of a thread's share of what is left, up to
/// [`BATCH`] (guided self-scheduling; Polychronopoulos, Kuck: IEEE Trans. Comput. C-36, 1987):
/// small items do not queue for the lock, the last ones go one by one to whoever is free, and a
/// slow core simply takes fewer.
pub(super) struct Queue<I> {
    items: Mutex<I>,
    threads: usize,
}

/// Items for one thread.
pub(super) type Batch<T> = [Option<T>; BATCH];

impl<I: Iterator> Queue<I> {
    pub fn new(items: I, threads: usize) -> Self {
        Self { items: Mutex::new(items), threads }
    }

    /// The next items, from the first place of the batch on; the first is empty when none is left.
    pub fn take(&self) -> Batch<I::Item> {
        let mut batch = [const { None }; BATCH];
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let count = items.size_hint().0 / (SHARES * self.threads);
        for place in &mut batch[..count.clamp(1, BATCH)] {
            *place = items.next();
            if place.is_none() {
                break;
            }
        }
        batch
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn sizes(queue: &Queue<impl Iterator<Item = u32>>) -> Vec<usize> {
        let taken = || queue.take().iter().flatten().count();
        std::iter::repeat_with(taken).take_while(|&count| count > 0).collect()
    }

    #[test]
    fn batches_shrink_to_single_items() {
        let sizes = sizes(&Queue::new(0..100, 2));
        assert_eq!(sizes[0], BATCH);
        assert!(sizes.is_sorted_by(|a, b| a >= b));
        assert_eq!(sizes[sizes.len() - 15..], [1; 15]);
        assert_eq!(sizes.iter().sum::<usize>(), 100);
    }

    #[test]
    fn few_items_and_unknown_numbers_go_one_by_one() {
        assert_eq!(sizes(&Queue::new(0..5, 2)), [1; 5]);
        assert_eq!(sizes(&Queue::new((0..100).filter(|item| item % 10 == 0), 2)), [1; 10]);
    }
}
