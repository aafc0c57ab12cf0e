//! ONNX Runtime: finding and loading the library, building sessions, running them. All that is
//! unsafe in this crate is in this folder.

mod find;
mod library;
mod look;
mod probe;
mod provider;
mod run;
mod sink;

pub(crate) use find::Place;
pub(crate) use library::Library;
pub use look::RuntimeLibrary;
pub(crate) use look::look;
pub(crate) use provider::{Choice, PROVIDERS, Provider};
pub(crate) use run::{Bound, Runnable};
pub(crate) use sink::Build;
