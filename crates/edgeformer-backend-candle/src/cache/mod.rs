//! Keys and values of sequences.
//!
//! Each slot of a sequence is a tensor `[heads, capacity, dim]` for its keys and one for its
//! values, so that products take them without a copy on every device. They grow by doubling, and
//! forks share them until one of the two writes. Under a budget, those that do not fit into the
//! device's memory are made in the host's; they are brought over when their layer runs, the next
//! one's while the layer before still computes.

mod block;
mod kept;
mod ledger;
mod prefetch;

pub(crate) use kept::{KeptSequence, Shape};
pub(crate) use ledger::Ledger;
pub(crate) use prefetch::CachePast;

#[cfg(test)]
mod tests;
