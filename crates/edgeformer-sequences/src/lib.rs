//! What backends share that keep the cache of each sequence in tensors of their own.
//!
//! Such a backend says how one sequence's keys and values are kept ([`Kept`]). From that
//! [`Sequences`] makes the [`KvCache`](edgeformer_core::KvCache) that engines see: names, lengths,
//! forks, saved copies, and how many bytes all of it takes. [`Sequences::check`] refuses steps that
//! cannot run before anything is computed, and [`Limits`] refuses options of a session that such
//! backends do not have.
#![forbid(unsafe_code)]

mod kept;
mod limits;
mod saved;
mod sequences;
mod step;

pub use kept::{Buffer, Kept, Sides};
pub use limits::{Limits, OwnWindows};
pub use sequences::Sequences;
pub use step::Work;
