use std::io::{Read, Write};

use serde::{Deserialize, Serialize};

use crate::Result;

/// Names a sequence of one session. Given out by [`KvCache::create`] and [`KvCache::fork`],
/// never reused within a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u64);

impl std::fmt::Display for SequenceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sequence {}", self.0)
    }
}

/// In which format cached keys, values and latents are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheFormat {
    /// 32-bit floats: exact.
    F32,
    /// 16-bit floats: half the memory, relative error 2^-11 an element.
    F16,
}

impl CacheFormat {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }

    /// The name that `--cache-type-k` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }
}

/// The cache of a session as the engine sees it: sequences, not bytes.
///
/// Programs without a cache (encoders) have sequences too; theirs stay at length zero.
pub trait KvCache {
    /// Starts an empty sequence.
    fn create(&mut self) -> Result<SequenceId>;

    /// Tokens of `seq` in the cache, zero if it is unknown. Windowed layers may hold fewer; the
    /// length counts what the sequence has seen.
    fn len(&self, seq: SequenceId) -> usize;

    /// Whether `seq` has no token in the cache.
    fn is_empty(&self, seq: SequenceId) -> bool {
        self.len(seq) == 0
    }

    /// Forgets every token from position `len` on: for speculation and regeneration.
    ///
    /// # Errors
    /// If `seq` is unknown, or a sliding window has already overwritten a position that would be
    /// visible at `len` (then only truncation to zero, or a fork made earlier, helps).
    fn truncate(&mut self, seq: SequenceId, len: usize) -> Result<()>;

    /// A second sequence with the same past, sharing its pages until one of the two writes:
    /// shared prefixes, beams.
    fn fork(&mut self, seq: SequenceId) -> Result<SequenceId>;

    /// Drops a sequence and frees the pages that nobody else shares. Unknown sequences are ignored.
    fn remove(&mut self, seq: SequenceId);

    /// Writes a sequence so that [`import`](Self::import) of a session over the same program and
    /// cache options can continue it.
    fn export(&mut self, seq: SequenceId, to: &mut dyn Write) -> Result<()>;

    /// Reads a sequence back.
    ///
    /// # Errors
    /// If the data are damaged, truncated, or from another model or cache format.
    fn import(&mut self, from: &mut dyn Read) -> Result<SequenceId>;

    /// What the cache holds now.
    fn usage(&self) -> CacheUsage;
}

/// How full a cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheUsage {
    /// Live sequences.
    pub sequences: usize,
    /// Bytes of pages in use, shared pages counted once.
    pub bytes_used: u64,
    /// Bytes that pages may take at most.
    pub bytes_limit: u64,
    /// Tokens that a page holds.
    pub page_tokens: usize,
    /// Pages in use over all layers.
    pub pages_used: usize,
}
