//! Backends in shared libraries.
//!
//! A plugin is a library with one symbol, `edgeformer_backend_v1`: a table of C functions
//! ([`abi::BackendV1`]). Whoever writes one implements
//! [`Backend`](edgeformer_core::Backend) and says [`export_backend!`]; whoever runs one calls
//! [`load`](host::load) and gets a `Backend` again. Graphs, options and errors cross as JSON,
//! weights as borrowed memory: nothing of them is copied.
//!
//! - [`abi`]: what both sides agree on
//! - [`export`]: from a `Backend` to the table
//! - [`host`]: from a library to a `Backend`
//! - `wire`: errors as JSON; `lent`: lists that one side lends the other

pub mod abi;
pub mod export;
#[cfg(feature = "host")]
pub mod host;
mod lent;
mod wire;

pub use edgeformer_core;

/// The example of the documentation, which is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/plugins.md")]
struct Documented;
