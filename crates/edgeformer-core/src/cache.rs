use std::io::{Read, Write};

use serde::{Deserialize, Serialize};

use crate::{AdapterScales, Error, Result};

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
///
/// Quantized rows are cut into blocks under one f16 scale: of 32 elements as in GGUF, of 16 or 8
/// where the row's width asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheFormat {
    /// 32-bit floats: exact.
    F32,
    /// 16-bit floats: half the memory, relative error 2^-11 an element.
    F16,
    /// 8-bit codes: 8.5 bits an element.
    Q8_0,
    /// 4-bit codes: 4.5 bits an element.
    Q4_0,
    /// [`Q4_0`](Self::Q4_0) behind a Hadamard rotation of every head, which spreads outliers over
    /// the whole row (QuaRot, arXiv 2404.00456, section 4): for keys and latents.
    Q4_0H,
}

impl CacheFormat {
    /// All of them, the most exact first.
    pub const ALL: [Self; 5] = [Self::F32, Self::F16, Self::Q8_0, Self::Q4_0, Self::Q4_0H];

    /// The name that `--cache-type-k` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
            Self::Q4_0H => "q4_0h",
        }
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Whether elements are integer codes under a shared scale.
    pub fn is_quantized(self) -> bool {
        matches!(self, Self::Q8_0 | Self::Q4_0 | Self::Q4_0H)
    }

    /// Elements under one scale in rows of `width`: 1 for floats, the largest of 32, 16 and 8
    /// that divides `width` for quantized formats, `None` if none does.
    pub fn block(self, width: usize) -> Option<usize> {
        if !self.is_quantized() {
            return Some(1);
        }
        [32, 16, 8].into_iter().find(|&block| width.is_multiple_of(block))
    }

    /// Bytes of a row of `width` elements, its scales counted; `None` if the format has no block
    /// for that width.
    pub fn row_bytes(self, width: usize) -> Option<usize> {
        let scales = 2 * width / self.block(width)?;
        Some(match self {
            Self::F32 => 4 * width,
            Self::F16 => 2 * width,
            Self::Q8_0 => width + scales,
            Self::Q4_0 | Self::Q4_0H => width / 2 + scales,
        })
    }
}

impl std::str::FromStr for CacheFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::from_name(name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::Config(format!("unknown cache format {name:?}, known are {known}"))
        })
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

    /// Gives an empty sequence the longest beginning of `tokens` that the cache still holds from
    /// another sequence, in whole pages; returns how many tokens that is. They were computed by
    /// the same program from the same tokens under the same scales of adapters, so nothing changes
    /// but the time it takes.
    ///
    /// # Errors
    /// If `seq` is unknown or not empty.
    fn adopt(&mut self, seq: SequenceId, tokens: &[u32]) -> Result<usize> {
        let _nothing_is_shared = tokens;
        if self.is_empty(seq) { Ok(0) } else { Err(Error::Step(format!("{seq} is not empty"))) }
    }

    /// Says how strongly each adapter of the graph acts on what `seq` is fed from now on; what it
    /// holds already stays as it was computed. Forks have the same scales; a sequence that is
    /// [imported](Self::import) has the usual ones.
    ///
    /// # Errors
    /// If `seq` is unknown, there are not as many scales as the graph has adapters, or the backend
    /// scales adapters for all sequences alike.
    fn set_adapters(&mut self, seq: SequenceId, scales: &AdapterScales) -> Result<()> {
        match scales.all() {
            None => Ok(()),
            Some(_) => Err(Error::Step(format!(
                "{seq} cannot have scales of its own: this backend scales adapters for all sequences alike"
            ))),
        }
    }

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

/// How full a cache is. Bytes are exact: those of the pages themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CacheUsage {
    /// Live sequences.
    pub sequences: usize,
    /// Bytes of pages in use, shared pages counted once, wherever they lie.
    pub bytes_used: u64,
    /// Of these, bytes in memory; the rest lies in the spill file.
    pub bytes_resident: u64,
    /// Bytes of the spill file that hold pages in use.
    pub bytes_spilled: u64,
    /// Bytes of pages that no sequence uses, kept because a later one may begin alike.
    pub bytes_retained: u64,
    /// Bytes that pages may take at most.
    pub bytes_limit: u64,
    /// Tokens that a page holds.
    pub page_tokens: usize,
    /// Pages in use over all layers.
    pub pages_used: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_formats() {
        for format in CacheFormat::ALL {
            assert_eq!(format.name().parse::<CacheFormat>().unwrap(), format);
        }
        let error = "q4_1".parse::<CacheFormat>().unwrap_err().to_string();
        assert!(error.contains("q4_1") && error.contains("q4_0h"), "{error}");
    }

    #[test]
    fn rows_take_codes_and_scales() {
        assert_eq!(CacheFormat::F16.row_bytes(5), Some(10));
        assert_eq!(CacheFormat::Q8_0.row_bytes(64), Some(68));
        assert_eq!(CacheFormat::Q4_0.row_bytes(64), Some(36));
        assert_eq!(CacheFormat::Q4_0H.row_bytes(48), Some(30));
        assert_eq!(CacheFormat::Q8_0.row_bytes(8), Some(10));
        assert_eq!(CacheFormat::Q8_0.row_bytes(12), None);
    }
}
