//! What a model's products read while it reads a text.
//!
//! - `imatrix`: `E[x²]` of every input channel, in the file that llama.cpp writes and reads
//! - `hessians`: `E[x xᵀ]`, in a folder
//! - `collect`: sums, filled by a session that is observed

mod collect;
mod hessians;
mod imatrix;

pub use collect::{Collector, SeenInput};
pub use hessians::{HessianWriter, Hessians};
pub use imatrix::{Imatrix, ImatrixEntry};
