//! Makes small models of large ones.
//!
//! A model goes through here as a [`Checkpoint`](edgeformer_models::checkpoint::Checkpoint):
//! metadata and tensors as GGUF has them, a tensor at a time. What comes out is a checkpoint
//! again, in standard formats that every GGUF runtime reads.
//!
//! - `calibration`: what a model's products read while it reads a text
//! - `rounding`: one matrix, from floats to blocks; `linalg`: what that needs of linear algebra
//! - `transform`: weights changed so that they round better, and the model computes the same
//! - `mixture`: which tensor gets which format, as llama.cpp has it; `allocate`: within a budget
//! - `merge`: low-rank adapters merged into the weights
//! - `job`: a whole model into a file
// Allowed in one place alone: `rounding::wide`, where a function for wider vectors is called.
#![deny(unsafe_code)]

pub mod attention;
mod error;

pub mod allocate;
pub mod calibration;
pub mod job;
pub mod linalg;
pub mod merge;
pub mod mixture;
pub mod rounding;
pub mod transform;

pub use error::{Error, Result};
