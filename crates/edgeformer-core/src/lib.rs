//! The vocabulary of EdgeFormer.
//!
//! A model file becomes a [`Graph`] (what is computed) and [`Weights`] (with which numbers);
//! a [`Backend`] compiles the two into a [`Program`]; a [`Session`] runs it. This crate holds
//! those words and nothing that executes: an author of a backend needs it alone.
//!
//! ```text
//! Model { graph, weights } --Backend::compile--> Program --open--> Session --run--> Outputs
//! ```
#![forbid(unsafe_code)]

mod adapter;
mod adapter_scales;
mod backend;
mod cache;
mod device;
mod error;
mod observe;
mod packed;
mod registry;
mod rows;
mod step;
mod visibility;

pub mod config;
pub mod graph;
pub mod quant;
pub mod random;
pub mod saved;
pub mod tensor;

pub use adapter::{Adapter, LowRank};
pub use adapter_scales::AdapterScales;
pub use backend::{
    Backend, CompileOptions, Footprint, Program, Session, SessionOptions, Unsupported,
};
pub use cache::{CacheFormat, CacheUsage, KvCache, SequenceId};
pub use config::Config;
pub use device::Device;
pub use error::{Error, Result};
pub use graph::{Graph, Op};
pub use observe::{InputObserver, ObservedInput};
pub use packed::{FileStamp, PackedFile, PackedSummary, PackedUse};
pub use quant::Format;
pub use registry::{Choice, Refusal, Registry, Selection};
pub use rows::{Rows, RowsMut};
pub use step::{Input, Outputs, Span, Step, Want};
pub use tensor::{Backing, Model, Tensor, Weight, Weights};
pub use visibility::{
    AttentionMass, Eviction, EvictionPolicy, HeadWindows, LatentForm, SlotMass, Tiers, Visibility,
    Window,
};
