//! What EdgeFormer's choices cost and give, measured: memory, speed, quality.
//!
//! - [`speed`]: the standard benchmark, beside a peer and the machine's limits
//! - [`cache`]: one row for every way to keep the past (formats, windows, tiers, eviction)
//! - [`stream`]: perplexity over a text that does not end
//! - [`latent`]: the size of a latent cache, and when its two forms cross
//! - [`conversion`]: attention converted to a smaller cache, perplexity against bytes
//! - [`compare`]: devices side by side
//! - [`instructions`]: instructions of small fixed cases, beside a baseline
//! - [`tune`]: what tuning finds, beside every setup there is
//! - [`quantization`]: quantized files beside those of llama.cpp
//! - [`quality()`]: perplexity and divergence of one session against another
//! - [`scenario`]: queries in the style of MLPerf inference
//! - [`peers`]: the engines that are measured
//! - [`device`]: on what was measured, in full
//! - [`limits`]: what the machine can do at most
//! - [`process`]: cases in processes of their own
//! - [`output`]: tables, JSON and charts of what was measured
//!
//! Cases are data, measurements are values, outputs are functions over them. Nothing here stands
//! alone: every figure has its peer from the same run beside it, and the machine above it.
#![deny(unsafe_code)]

pub mod cache;
pub mod compare;
pub mod conversion;
pub mod device;
pub mod instructions;
pub mod latent;
pub mod limits;
pub mod output;
pub mod peers;
pub mod process;
pub mod quantization;
pub mod scenario;
pub mod speed;
pub mod stream;
pub mod tune;

mod energy;
mod error;
mod machine;
mod progress;
mod quality;
mod spread;
mod subject;

pub use error::{Error, Result};
pub use machine::Machine;
pub use progress::Progress;
pub use quality::{Quality, quality};
pub use spread::Spread;
pub use subject::{ModelChoice, ModelRecord, Subject, packed_warning};
