//! Random numbers that are the same on every machine and in every release: the core's.

use std::hash::{BuildHasher, Hasher, RandomState};

pub(crate) use edgeformer_core::random::Random;

/// A seed that nobody chose. 32 bits, so that people can copy it.
pub(super) fn fresh_seed() -> u64 {
    // The standard library seeds its hash maps from the system's randomness.
    RandomState::new().build_hasher().finish() >> 32
}
