//! What a model's products read while it reads a text.
//!
//! - `imatrix`: `E[x²]` of every input channel, in the file that llama.cpp writes and reads
//! - `collect`: sums, filled by a session that is observed

mod collect;
mod imatrix;

pub use collect::Collector;
pub use imatrix::{Imatrix, ImatrixEntry};
