//! The conformance suite that every EdgeFormer backend runs.
#![forbid(unsafe_code)]

mod shared;

pub use shared::shared;
