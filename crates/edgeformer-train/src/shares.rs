//! Batches in shares that are learned from side by side.
//!
//! Which examples make a share follows from the batch alone, and what is found of shares is added up in
//! their order: neither the number of threads nor how many shares go at a time changes a bit of what is
//! learned.

use std::sync::mpsc;
use std::thread;

use rayon::ThreadPoolBuilder;

use crate::trainer::Example;
use crate::{Error, Result};

/// What a process that learns should find in its environment when it starts. Candle shares element-wise
/// operations out among threads of its own, which one caller at a time may ask: where each thread
/// has a share, it had better do them itself. And glibc keeps what every thread gave back for that
/// thread alone, so that shares do not use the same memory again.
pub const ENVIRONMENT: [(&str, &str); 2] = [("CANDLE_NUM_THREADS", "1"), ("MALLOC_ARENA_MAX", "1")];

/// Tokens of a share, about. With fewer, adding up the gradients of all weights counts beside finding
/// them; with more, processors wait for each other.
const TOKENS: usize = 512;

/// Shares of a batch that is smaller than so many of them, if it has as many examples.
const LEAST: usize = 4;

/// A batch, cut into what goes through the model together.
#[derive(Debug, Clone, Default)]
pub struct Shares<'a> {
    /// The examples of each.
    pub shares: Vec<Vec<&'a Example>>,
    /// How many may go at a time.
    pub at_a_time: usize,
}

impl<'a> Shares<'a> {
    /// Cuts a batch in its order, into shares of about as many tokens each. `tokens` go through the
    /// model at a time at most; an example that has more goes alone.
    pub fn of(batch: Vec<&'a Example>, tokens: usize) -> Self {
        let all = tokens_of(&batch).max(1);
        // Processors come in powers of two more often than not: none of them is left over.
        let count = all.div_ceil(TOKENS).next_power_of_two().max(LEAST);
        let mut cut = vec![Vec::new(); count];
        let mut before = 0;
        for example in batch {
            let own = example.input.tokens();
            let middle = 2 * before + own;
            cut[(middle * count / (2 * all)).min(count - 1)].push(example);
            before += own;
        }
        let shares: Vec<_> = cut.into_iter().flat_map(|share| limited(share, tokens)).collect();
        let largest = shares.iter().map(|share| tokens_of(share)).max().unwrap_or(0);
        Self { shares, at_a_time: (tokens / largest.max(1)).max(1) }
    }

    /// All examples, in their order.
    pub fn examples(&self) -> impl Iterator<Item = &'a Example> + '_ {
        self.shares.iter().flatten().copied()
    }

    /// How many go at a time on so many threads.
    pub fn side_by_side(&self, threads: usize) -> usize {
        self.at_a_time.min(self.shares.len()).min(threads).max(1)
    }
}

fn tokens_of(examples: &[&Example]) -> usize {
    examples.iter().map(|example| example.input.tokens()).sum()
}

/// A share in parts of at most so many tokens; nothing if it is empty.
fn limited(share: Vec<&Example>, tokens: usize) -> Vec<Vec<&Example>> {
    let mut parts: Vec<Vec<&Example>> = Vec::new();
    let mut room = 0;
    for example in share {
        let needed = example.input.tokens();
        match parts.last_mut().filter(|_| needed <= room) {
            Some(part) => {
                part.push(example);
                room -= needed;
            }
            None => {
                parts.push(vec![example]);
                room = tokens.saturating_sub(needed);
            }
        }
    }
    parts
}

/// Does pieces of work, so many at a time, each with its part of the threads. `take` is given what comes
/// of them in their order; of those that are done it keeps one a worker waiting.
///
/// # Errors
/// The first that a piece or `take` returns; pieces that were begun are done nevertheless.
pub(crate) fn side_by_side<T: Send>(
    workers: usize,
    pieces: usize,
    work: impl Fn(usize) -> Result<T> + Sync,
    mut take: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    if workers < 2 {
        return (0..pieces).try_for_each(|piece| take(work(piece)?));
    }
    let threads = rayon::current_num_threads();
    thread::scope(|scope| {
        let mut done = Vec::with_capacity(workers);
        for worker in 0..workers {
            let own = (threads / workers + usize::from(worker < threads % workers)).max(1);
            let pool = ThreadPoolBuilder::new().num_threads(own).build();
            let pool = pool.map_err(|error| Error::Request(format!("no threads: {error}")))?;
            let (give, taken) = mpsc::sync_channel(0);
            done.push(taken);
            let work = &work;
            let all = move || {
                for piece in (worker..pieces).step_by(workers) {
                    // Nobody takes it where a piece before failed.
                    if give.send(work(piece)).is_err() {
                        return;
                    }
                }
            };
            scope.spawn(move || pool.install(all));
        }
        (0..pieces).try_for_each(|piece| match done[piece % workers].recv() {
            Ok(found) => take(found?),
            // The scope passes its panic on.
            Err(mpsc::RecvError) => Err(Error::Request("a worker panicked".into())),
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Sample, Target};

    fn examples(lengths: &[usize]) -> Vec<Example> {
        let example = |&length: &usize| Example {
            input: Sample::Tokens(vec![0; length]),
            target: Target::Tokens(vec![Some(0); length]),
        };
        lengths.iter().map(example).collect()
    }

    #[test]
    fn equal_examples_make_equal_shares() {
        let examples = examples(&[256; 8]);
        let shares = Shares::of(examples.iter().collect(), 2048);
        assert_eq!(shares.shares.iter().map(Vec::len).collect::<Vec<_>>(), [2; 4]);
        assert_eq!(shares.at_a_time, 4);
        let few = Shares::of(examples.iter().collect(), 300);
        assert_eq!(few.shares.iter().map(Vec::len).collect::<Vec<_>>(), [1; 8]);
        assert_eq!(few.at_a_time, 1);
    }

    #[test]
    fn a_piece_that_fails_ends_the_work() {
        for workers in [1, 2, 3] {
            let mut taken = Vec::new();
            let work = |piece| match piece {
                5 => Err(Error::Request("five".into())),
                _ => Ok(piece),
            };
            let take = |piece| {
                taken.push(piece);
                Ok(())
            };
            let error = side_by_side(workers, 100, work, take).unwrap_err();
            assert_eq!(error.to_string(), "five");
            assert_eq!(taken, [0, 1, 2, 3, 4]);
        }
    }

    proptest! {
        #[test]
        fn shares_lose_nothing_and_fit(
            lengths in prop::collection::vec(1usize..300, 1..40), most in 1usize..3000
        ) {
            let examples = examples(&lengths);
            let shares = Shares::of(examples.iter().collect(), most);
            let found: Vec<usize> = shares.examples().map(|one| one.input.tokens()).collect();
            prop_assert_eq!(&found, &lengths);
            let sizes: Vec<usize> = shares.shares.iter().map(|share| tokens_of(share)).collect();
            for (share, &tokens) in shares.shares.iter().zip(&sizes) {
                prop_assert!(tokens > 0 && (tokens <= most || share.len() == 1));
            }
            let largest = *sizes.iter().max().unwrap();
            prop_assert!(shares.at_a_time * largest <= most || shares.at_a_time == 1);
        }

        #[test]
        fn pieces_are_taken_in_their_order(pieces in 0usize..30, workers in 1usize..5) {
            let mut taken = Vec::new();
            let take = |piece| {
                taken.push(piece);
                Ok(())
            };
            side_by_side(workers, pieces, |piece| Ok(3 * piece), take).unwrap();
            prop_assert_eq!(taken, (0..pieces).map(|piece| 3 * piece).collect::<Vec<_>>());
        }
    }
}
