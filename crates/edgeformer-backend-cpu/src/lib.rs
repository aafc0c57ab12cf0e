//! The SIMD CPU backend of EdgeFormer.
//!
//! ```text
//! Model --compile--> Program: kernels chosen per matrix, small tables decoded, threads started
//!                       |
//!                     open --> Session: paged cache, planned buffers, per-thread scratch
//! ```
//!
//! For one kernel table a token's logits have the same bits whatever the number of threads, the
//! chunking and the other sequences of the batch: every reduction has one fixed order.

mod backend;
mod cache;
mod kernels;
pub mod limits;
mod machine;
mod pool;
mod program;
mod session;

pub use backend::{CpuBackend, CpuOptions};
