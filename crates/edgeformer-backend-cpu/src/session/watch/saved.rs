//! What is remembered of a saved sequence besides its pages: without it, a sequence that is read
//! back would go on otherwise than the one that was saved.
//!
//! Behind the pages of the sequence, in sessions with adaptive windows or eviction, little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | whether anything is remembered: 0 or 1; with 0 only the hash follows |
//! | | adaptive windows, for each op: full pages of queries, where the window begins, its sizes after each of the last pages and the shares of the queries of the page under way (counts of 8 bytes in front of both) |
//! | | eviction: whether the prompt was cut; for each block of heads of each op the attention received, an f32 a position |
//! | 8 | FNV-1a of the section |

use std::io::{Read, Write};

use edgeformer_core::saved::Hashing;
use edgeformer_core::{Result, SequenceId};

use super::Watch;

impl Watch {
    /// Writes what is remembered of a sequence of `len` tokens.
    pub fn write(&self, sequence: SequenceId, len: usize, to: &mut dyn Write) -> Result<()> {
        let Some(is_known) = self.knows(sequence) else { return Ok(()) };
        let mut to = Hashing::new(to);
        to.number(usize::from(is_known))?;
        match self {
            Self::Windows(windows) => windows.write(sequence, &mut to)?,
            Self::Votes(votes) => votes.write(sequence, len, &mut to)?,
            Self::Nothing | Self::Mass { .. } => {}
        }
        to.finish()
    }

    /// Reads what was remembered of a sequence of `len` tokens.
    ///
    /// # Errors
    /// If it is damaged or cut.
    pub fn read(&mut self, sequence: SequenceId, len: usize, from: &mut dyn Read) -> Result<()> {
        if self.knows(sequence).is_none() {
            return Ok(());
        }
        let mut from = Hashing::new(from);
        let is_known = from.at_most(1, "whether attention is remembered")? == 1;
        match self {
            Self::Windows(windows) if is_known => windows.read(sequence, len, &mut from)?,
            Self::Votes(votes) if is_known => votes.read(sequence, len, &mut from)?,
            _ => {}
        }
        from.finish()
    }

    /// Whether anything is remembered of a sequence; `None` where sequences go on without.
    fn knows(&self, sequence: SequenceId) -> Option<bool> {
        match self {
            Self::Nothing | Self::Mass { .. } => None,
            Self::Windows(windows) => Some(windows.knows(sequence)),
            Self::Votes(votes) => Some(votes.knows(sequence)),
        }
    }
}
