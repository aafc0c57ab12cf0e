//! Files of packed weights: the panels of a [`PackPlan`](super::pack_plan::PackPlan), to be mapped
//! at the next start.
//!
//! Little-endian throughout:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic `EFPACKED` |
//! | 8 | 4 | version of this container, 1 |
//! | 12 | 4 | version of the panels' layout |
//! | 16 | 8 | fingerprint of the model, as saved sequences have it |
//! | 24 | 8 | bytes of the panels |
//! | 32 | 8 | bytes of the table |
//! | 40 | 8 | XXH64 of everything before |
//! | 2 MiB | | the panels, as the plan places them |
//! | behind | | the table |
//!
//! The table: how many tensors and how many files (4 bytes each); of each file of the model its
//! length, seconds and nanoseconds of its time (8, 8, 4, and 4 that say whether it has one); of
//! each tensor XXH64 of its bytes in the model's file and of its panels (8 each); the plan as text;
//! and XXH64 of the header and of everything before (8). It is behind the panels because its
//! hashes are known last: a file is written in passing.
//!
//! **What is trusted.** Nothing is read out of a file that decides where memory is read: the file
//! must hold the very text of the plan that was made from the model at hand, and as many bytes as
//! that plan says. What a start looks at is header, table and length. Whether the model is still
//! the same is told by its fingerprint (graph, formats, 64 bytes in the middle of each tensor) and
//! by length and time of its files; where those have changed, every byte that was packed is read
//! and hashed again. The panels themselves are not read at start: a full check does.

mod check;
mod form;
#[cfg(test)]
mod tests;
mod write;

/// Of every XXH64 (the xxHash specification, Yann Collet): it finds accidents, not forgeries.
const SEED: u64 = 0;

pub(super) use check::{Subject, check_all, panels};
pub(super) use write::write;
