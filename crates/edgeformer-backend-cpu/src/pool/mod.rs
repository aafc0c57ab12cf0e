//! The threads that work on a step.
//!
//! - `gate`: how workers learn of a job, come in, leave, and sleep
//! - `workers`: threads that live as long as the pool and run one closure together
//! - `queue`, `items`: sharing the items of an iterator among them
//! - `cores`: how many threads a machine is good for
//! - `sync`: atomics and locks, of the standard library or of the model checker

#[cfg(not(loom))]
mod cores;
mod gate;
#[cfg(not(loom))]
mod items;
#[cfg(all(test, loom))]
mod loom;
mod queue;
mod sync;
#[cfg(all(test, not(loom)))]
mod tests;
#[cfg(not(loom))]
mod workers;

#[cfg(not(loom))]
pub(crate) use cores::physical_cores;
#[cfg(not(loom))]
pub(crate) use workers::Pool;
