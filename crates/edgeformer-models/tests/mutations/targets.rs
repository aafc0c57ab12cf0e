//! The readers under test, each with valid files to start from.

use bytes::Bytes;
use edgeformer_models::Result;

use crate::{adapters, containers, models, text};

/// Reads a file as far as a program would.
pub type Read = dyn Fn(&Bytes) -> Result<()> + Sync;

/// A reader of files.
pub struct Target {
    /// Its name, for messages.
    pub name: String,
    /// Valid files.
    pub seeds: Vec<Vec<u8>>,
    /// Reads a file as far as a program would.
    pub read: Box<Read>,
    /// How many damaged files it reads.
    pub mutations: usize,
    /// Bytes that it may hold beyond twice the file.
    pub slack: usize,
}

/// What messages and small vectors may take.
pub const SLACK: usize = 8 << 10;

/// Every reader of this crate.
pub fn targets() -> Vec<Target> {
    let all = [adapters::targets(), containers::targets(), models::targets(), text::targets()];
    all.into_iter().flatten().collect()
}
