//! How weights follow their gradients.

mod adamw;
mod moments;
mod schedule;

pub use adamw::AdamWOptions;
pub(crate) use moments::{Coded, Moments};
pub use schedule::{Decay, Schedule};
