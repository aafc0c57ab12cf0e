//! EdgeFormer on AMD GPUs: graphs run by ONNX Runtime with MIGraphX.
//!
//! | module | |
//! |---|---|
//! | `detect` | the GPUs, their driver, ROCm's libraries: found while running, step by step |
//! | `runtime` | the ONNX Runtime that serves them, and the options of its provider |
//! | `environment` | what the environment says |
//!
//! Nothing of ROCm is needed to build this crate, nor to start a program that has it. What is missing
//! [`RocmBackend`] says in one line, with what to do about it.

mod backend;
mod detect;
mod environment;
mod options;
mod runtime;

pub use backend::RocmBackend;
pub use detect::Places;
pub use options::{Precision, RocmOptions};

/// The name that `--backend` takes.
const NAME: &str = "rocm";
