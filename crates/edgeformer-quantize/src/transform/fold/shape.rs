//! Numbers that the table needs beside shapes.

use edgeformer_models::checkpoint::Checkpoint;

use crate::{Error, Result};

/// Heads of attention.
pub(super) struct Heads {
    pub heads: usize,
    pub kv_heads: usize,
}

/// Reads them from the metadata of the architecture, of a vision model too.
///
/// # Errors
/// If they are missing, no numbers, or do not divide.
pub(super) fn heads(checkpoint: &Checkpoint) -> Result<Heads> {
    let heads = count(checkpoint, "attention.head_count")?.ok_or_else(|| {
        problem(checkpoint, "attention.head_count is missing: convert the model again")
    })?;
    let kv_heads = count(checkpoint, "attention.head_count_kv")?.unwrap_or(heads);
    if heads.is_multiple_of(kv_heads) {
        return Ok(Heads { heads, kv_heads });
    }
    Err(problem(checkpoint, &format!("{kv_heads} key-value heads do not divide {heads} heads")))
}

fn count(checkpoint: &Checkpoint, key: &str) -> Result<Option<usize>> {
    let architecture = checkpoint.architecture().unwrap_or_default();
    let value = checkpoint
        .get(&format!("{architecture}.{key}"))
        .or_else(|| checkpoint.get(&format!("{architecture}.vision.{key}")));
    let Some(value) = value else { return Ok(None) };
    let count = value.as_integer().and_then(|count| usize::try_from(count).ok());
    match count.filter(|&count| count > 0) {
        Some(count) => Ok(Some(count)),
        None => {
            let text = format!("{key} is {}, it must be one count", value.describe());
            Err(problem(checkpoint, &text))
        }
    }
}

fn problem(checkpoint: &Checkpoint, problem: &str) -> Error {
    Error::Request(format!("{}: {problem}", checkpoint.path().display()))
}
