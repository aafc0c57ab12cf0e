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

#[cfg(any(test, not(loom)))]
mod pool;

// The model checker (`--cfg loom`, see `pool::loom`) looks at the pool alone.
#[cfg(not(loom))]
mod backend;
#[cfg(not(loom))]
mod cache;
#[cfg(not(loom))]
mod kernels;
#[cfg(not(loom))]
pub mod limits;
#[cfg(not(loom))]
mod machine;
#[cfg(not(loom))]
mod program;
#[cfg(not(loom))]
mod session;

#[cfg(not(loom))]
pub use backend::{CpuBackend, CpuOptions};
