use super::Tell;
use super::picking::{Picked, Picking, Selecting};
use crate::Result;

/// Greedy k-center (Gonzalez 1985, "Clustering to minimize the maximum intercluster distance"):
/// the first record, then always the one that is farthest from all that were picked, the first of
/// equals. No set of as many records leaves the farthest less than half as far.
///
/// # Errors
/// If it was stopped.
pub fn k_center(asked: Picking<'_>, tell: Tell<'_>) -> Result<Picked> {
    let mut selecting = Selecting::new(asked);
    while !selecting.is_done() {
        tell(selecting.picked(), selecting.keep())?;
        let open = (0..selecting.count()).filter(|&index| selecting.is_open(index));
        let farther = |best: usize, index: usize| {
            if selecting.nearness(index) < selecting.nearness(best) { index } else { best }
        };
        let Some(farthest) = open.reduce(farther) else { break };
        selecting.pick(farthest);
    }
    Ok(selecting.finish())
}
