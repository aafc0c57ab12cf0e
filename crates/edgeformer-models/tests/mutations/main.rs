//! Damaged files of every kind, read by every reader: none makes one panic, and none makes one
//! hold more than twice the file.

mod adapters;
mod allocator;
mod containers;
mod crowds;
mod heap;
mod models;
mod mutate;
mod targets;
mod text;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use allocator::peak_of;
use mutate::{Choices, mutate};
use targets::{SLACK, Target, targets};

/// Damaged files in all, at least.
const MUTATIONS: usize = 100_000;

#[test]
fn the_allocator_counts() {
    let (kept, peak) = peak_of(|| {
        drop(vec![1u8; 5000]);
        vec![1u8; 3000]
    });
    assert_eq!((kept.len(), peak), (3000, 5000));
}

#[test]
fn seeds_are_valid() {
    for target in targets() {
        for seed in &target.seeds {
            if let Err(error) = (target.read)(&Bytes::from(seed.clone())) {
                panic!("{}: {error}", target.name);
            }
        }
    }
}

#[test]
fn damaged_files_neither_panic_nor_allocate() {
    let targets = targets();
    assert!(targets.iter().map(|target| target.mutations).sum::<usize>() >= MUTATIONS);
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            targets.iter().map(|target| scope.spawn(|| read_damaged(target))).collect();
        for (thread, target) in threads.into_iter().zip(&targets) {
            let refused = thread.join().unwrap_or_else(|_| panic!("{}: see above", target.name));
            // Damage that is never noticed would mean that nothing was damaged.
            assert!(refused > target.mutations / 50, "{}: only {refused} refused", target.name);
        }
    });
}

/// Reads damaged files; how many were refused.
fn read_damaged(target: &Target) -> usize {
    let mut refused = 0;
    for number in 0..target.mutations {
        let mut choices = Choices(number as u64);
        let seed = number % target.seeds.len();
        let mut bytes = target.seeds[seed].clone();
        mutate(&mut bytes, &target.seeds[choices.below(target.seeds.len())], &mut choices);
        let file = Bytes::from(bytes);
        let allowed = 2 * file.len() + target.slack;
        let read = || peak_of(|| (target.read)(&file));
        let Ok((result, peak)) = catch_unwind(AssertUnwindSafe(read)) else {
            panic!("{}: file {number} panics: {}", target.name, file.escape_ascii());
        };
        let name = &target.name;
        assert!(peak <= allowed, "{name}: file {number} of {} bytes holds {peak}", file.len());
        refused += usize::from(result.is_err());
        if let Err(error) = result {
            let message = error.to_string();
            assert!(!message.contains('\n'), "{name}: file {number}: {message}");
        }
    }
    refused
}
