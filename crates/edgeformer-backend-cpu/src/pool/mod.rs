//! The threads that work on a step.
//!
//! - `workers`: threads that live as long as the pool and run one closure together
//! - `items`: sharing the items of an iterator among them
//! - `cores`: how many threads a machine is good for

mod cores;
mod items;
mod workers;

pub(crate) use cores::physical_cores;
pub(crate) use workers::Pool;
