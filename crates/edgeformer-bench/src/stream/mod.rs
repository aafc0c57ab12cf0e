//! Texts that do not end: perplexity over a running text, for ways to go past the trained context.
//!
//! - `policy`: the ways
//! - `run`: the text fed through one sequence, each next token scored, in slices
//! - `report`: perplexity by slice, as a table and as lines

mod policy;
mod report;
mod run;

pub use policy::Policy;
pub use report::{PolicyFigures, Refusal, Slice, StreamReport};
pub use run::StreamBench;
