//! A whole run: batches in an order of their own, evaluation, early stopping, what is kept.
//!
//! Everything that a step depends on follows from the seed and the number of the step, so that a
//! run that goes on from a checkpoint takes the very steps that it would have taken.

mod average;
mod batches;
mod fit;
mod state;
mod store;

pub use batches::Order;
pub(crate) use fit::evaluation;
pub use fit::{Event, Outcome, RunOptions, Stopped, fit};
pub use store::{Saved, Store};
