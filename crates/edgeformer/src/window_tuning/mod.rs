//! Windows by layer and head, found by looking at where attention goes.
//!
//! A session that observes ([`EngineOptions::observe_attention`](crate::EngineOptions)) adds up
//! how much attention each head pays to keys at each distance. Most heads look near: a window that
//! holds nearly all of their attention costs next to nothing and spares the memory of everything
//! before. Some look anywhere, to find a passage again: these *retrieval heads* stay global
//! (Xiao et al., "DuoAttention", arXiv 2410.10819, section 3).
//!
//! - `observe`: a text, run through an engine that observes
//! - `tune`: from attention to windows
//! - `file`: what `edgeformer tune-window` writes and `--window` reads

mod file;
mod observe;
mod tune;

pub use file::WindowFile;
pub use observe::{Observation, observe, pieces};
pub use tune::{SlotSummary, summarise, windows};
