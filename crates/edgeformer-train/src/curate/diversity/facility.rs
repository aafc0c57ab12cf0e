use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::Tell;
use super::picking::{Picked, Picking, Selecting};
use crate::Result;

/// A record and what it was worth when that was last looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    gain: f64,
    index: usize,
    /// How many were picked then.
    at: usize,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    /// The largest gain first, of equals the first record.
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain.total_cmp(&other.gain).then(other.index.cmp(&self.index))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Facility location, greedily: always the record that adds most to the sum, over all records, of
/// the similarity with the most similar picked one. What a record adds only falls, so one whose
/// gain is still the largest after it was looked at anew is the best without a look at the others
/// (Minoux 1978, "Accelerated greedy algorithms for maximizing submodular set functions").
///
/// # Errors
/// If it was stopped.
pub fn facility_location(asked: Picking<'_>, tell: Tell<'_>) -> Result<Picked> {
    let mut selecting = Selecting::new(asked);
    let all = selecting.count() + selecting.keep();
    let mut heap = BinaryHeap::with_capacity(selecting.count());
    for index in 0..selecting.count() {
        tell(index, all)?;
        heap.push(Candidate { gain: gain(&selecting, index), index, at: 0 });
    }
    while !selecting.is_done() {
        let Some(top) = heap.pop() else { break };
        if !selecting.is_open(top.index) {
            continue;
        }
        let at = selecting.picked();
        if top.at == at {
            tell(selecting.count() + at, all)?;
            selecting.pick(top.index);
        } else {
            heap.push(Candidate { gain: gain(&selecting, top.index), index: top.index, at });
        }
    }
    Ok(selecting.finish())
}

/// What a record would add.
pub(super) fn gain(selecting: &Selecting<'_>, index: usize) -> f64 {
    let covered = |other: usize| selecting.nearness(other).max(0.0);
    let more = |other: usize| (selecting.similarity(index, other) - covered(other)).max(0.0);
    (0..selecting.count()).map(|other| f64::from(more(other))).sum()
}
