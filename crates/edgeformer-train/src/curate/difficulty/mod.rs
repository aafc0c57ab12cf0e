//! How hard records are for the model that will learn them.
//!
//! - `scores`: loss, and loss with the question against loss without
//! - `check`: whether a sampled answer is right; `solve`: how many of several are

mod check;
mod scores;
mod solve;

pub use check::{Check, Conclusion};
pub(super) use scores::{ifd, losses, prepare};
pub use solve::Solved;
pub(super) use solve::solve;
