//! EdgeFormer graphs as ONNX: run by ONNX Runtime, or written as a `.onnx` file.
//!
//! ```text
//! Graph --translate--> OnnxGraph --model editor--> session of ONNX Runtime
//!                          `------protobuf-------> model.onnx + model.onnx.data
//! ```
//!
//! | module | |
//! |---|---|
//! | `onnx` | an ONNX graph as a plain value |
//! | `translate` | from our ops to ONNX's, one small file a group |
//! | `runtime` | ONNX Runtime: finding, loading, building, running; all that is unsafe |
//! | `session` | what is cached of a sequence, and a step |
//! | `file` | writing and checking `.onnx` files |
//!
//! ONNX Runtime is loaded while running, from where [`OnnxOptions`] or the environment say; nothing
//! of it is needed to build this crate.

mod backend;
mod error;
mod file;
mod onnx;
mod options;
mod program;
mod runtime;
mod session;
mod translate;

pub use backend::OnnxBackend;
pub use file::{ExportSummary, check, export};
pub use options::{ExecutionProvider, OnnxOptions};
pub use runtime::RuntimeLibrary;
