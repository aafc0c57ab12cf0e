//! The engine: sequences, their scheduling, sampling, streaming.
//!
//! An [`Engine`] is a handle; the session lives on a worker thread of its own and serves every
//! sequence in ragged steps, single tokens of running answers first, prompt chunks in the rest
//! of the step.

mod choose;
mod conversation;
mod evaluate;
mod generate;
mod handle;
mod kept;
pub(crate) mod sample;
mod saved;
mod schedule;
mod sequence;
mod speculate;
mod stats;
mod stop;
mod stream;
#[cfg(test)]
#[cfg(all(feature = "embedded-model", feature = "cpu"))]
mod tests;
mod work;

pub(crate) use choose::Chosen;
pub use conversation::Conversation;
pub use evaluate::Evaluation;
pub use generate::{AdapterUse, GenerateOptions, Prompt};
pub use handle::Engine;
pub use sample::{Dry, Penalties, SamplingOptions};
pub(crate) use speculate::DraftPlan;
pub use speculate::{Guesses, Speculation};
pub use stats::Stats;
pub use stream::{Finish, FinishReason, TextStream};
