//! EdgeFormer runs transformers on the machine at hand: laptops, single-board computers,
//! industrial PCs, vehicles.
//!
//! Open a model, stream text:
//! ```
//! # #[cfg(feature = "embedded-model")] {
//! use edgeformer::{Engine, EngineOptions, GenerateOptions, ModelSource};
//!
//! // A GGUF file or a Hugging Face folder would be `ModelSource::Path("model.gguf".into())`.
//! let engine = Engine::open(&ModelSource::Embedded, &EngineOptions::default())?;
//! let options = GenerateOptions { max_tokens: Some(16), ..GenerateOptions::default() };
//! for text in engine.generate("To be", &options)? {
//!     print!("{}", text?);
//! }
//! # }
//! # Ok::<(), edgeformer::Error>(())
//! ```
//!
//! Choose a backend, and ask what it will take before anything is loaded:
//! ```
//! # #[cfg(feature = "embedded-model")] {
//! use edgeformer::{EngineOptions, ModelSource, Plan};
//!
//! let options = EngineOptions { backend: "cpu".parse().unwrap(), context: Some(128), ..EngineOptions::default() };
//! let plan = Plan::of(&ModelSource::Embedded, &options)?;
//! assert!(plan.total() > plan.footprint.weights);
//! # }
//! # Ok::<(), edgeformer::Error>(())
//! ```
#![deny(unsafe_code)]

mod budget;
mod classify;
mod embed;
mod engine;
mod error;
mod hash;
mod options;
mod packed;
mod plan;
mod plugins;
mod registry;
mod source;
mod system;

#[cfg(feature = "quantize")]
pub mod attention_conversion;
pub mod evaluate;
#[cfg(feature = "train")]
pub mod merge;
#[cfg(feature = "quantize")]
pub mod quantize;
#[cfg(feature = "train")]
pub mod training;
pub mod tuning;
pub mod window_tuning;

#[cfg(feature = "embedded-model")]
#[path = "embedded/present.rs"]
mod embedded;
#[cfg(not(feature = "embedded-model"))]
#[path = "embedded/absent.rs"]
mod embedded;
#[cfg(feature = "vision")]
mod vision;

pub use budget::{Budget, BudgetSource, Candidate};
pub use classify::Class;
pub use edgeformer_core::{
    AttentionMass, CacheFormat, CacheUsage, Choice, CompileOptions, Config, Device, Eviction,
    EvictionPolicy, Footprint, Graph, HeadWindows, LatentForm, Refusal, Registry, Selection, Tiers,
    Visibility, Window, config,
};
pub use edgeformer_models::text::Message;
pub use embed::Pooling;
pub use engine::{
    AdapterUse, Conversation, Dry, Engine, Evaluation, Finish, FinishReason, GenerateOptions,
    Guesses, Penalties, Prompt, SamplingOptions, Speculation, Stats, TextStream,
};
pub use error::{Error, Result};
pub use options::{EngineOptions, usual_chunk};
pub use packed::{FoundPacked, Packed, PackedWeights, pack, verify_packed};
pub use plan::Plan;
pub use plugins::PluginOptions;
pub use registry::builtin as builtin_backends;
pub use source::ModelSource;
pub use system::{available_cores, available_memory, peak_resident_bytes};
#[cfg(feature = "vision")]
pub use vision::{Image, load_image};
