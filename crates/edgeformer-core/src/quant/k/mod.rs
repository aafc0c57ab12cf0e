//! The K-quants: super-blocks of 256 elements in groups of 16 or 32, whose scales are codes
//! themselves under one or two halves.

mod q2_k;
mod q3_k;
mod q4_k;
mod q5_k;
mod q6_k;
pub(super) mod scales;
pub(super) mod search;

pub use q2_k::Q2K;
pub use q3_k::Q3K;
pub use q4_k::Q4K;
pub use q5_k::Q5K;
pub use q6_k::Q6K;
