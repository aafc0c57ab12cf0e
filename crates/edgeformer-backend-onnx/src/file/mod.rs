//! `.onnx` files: a model with its weights in a file beside it.

mod check;
mod proto;
mod wire;
mod write;

pub use check::check;
pub use write::{ExportSummary, export};
