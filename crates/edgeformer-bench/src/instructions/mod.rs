//! Instructions of small fixed cases, counted: the regression test that noise cannot spoil.
//!
//! ```text
//! Case --Rig::new--> model from a seed, session, context read      not counted
//!          |
//!       Rig::step --> one step of that session                     counted
//! ```
//!
//! Every case runs in a process of its own under Valgrind's Callgrind, which counts the
//! instructions of the function [`Rig::step`] and of all that it calls: neither the start of the
//! program nor its paths, its environment or the machine's speed are in the figure. One thread
//! computes, and the instruction set is named, for Valgrind knows no AVX-512. What a compiler
//! makes of the same source still differs from version to version, so the [`Baseline`] says which
//! one it was.

mod baseline;
mod callgrind;
mod case;
mod graphs;
mod rig;
mod weights;

pub use baseline::{Baseline, Change, Comparison, Counts, Row};
pub use callgrind::Callgrind;
pub use case::{Case, cases};
pub use rig::Rig;
