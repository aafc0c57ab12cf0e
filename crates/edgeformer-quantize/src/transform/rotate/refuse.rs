//! What cannot be rotated.

use edgeformer_models::checkpoint::Checkpoint;

use super::KEY;
use crate::transform::fold::{Kind, kind};
use crate::{Error, Result};

/// Refuses a model that was rotated before: once more costs precision and helps nothing.
pub(super) fn rotated(checkpoint: &Checkpoint) -> Result<()> {
    match checkpoint.get(KEY) {
        None => Ok(()),
        Some(_) => Err(problem(checkpoint, "is rotated already: rotate the original")),
    }
}

/// Refuses families whose residual stream cannot be rotated.
pub(super) fn family(checkpoint: &Checkpoint) -> Result<()> {
    match kind(checkpoint)? {
        Kind::PreNorm | Kind::FusedGate => Ok(()),
        Kind::LayerNorm => Err(problem(
            checkpoint,
            "has layer norms, which take away the mean of the channels: a rotated stream has another mean. Use AWQ or SmoothQuant, or rotate values alone",
        )),
        Kind::Sandwich => Err(problem(
            checkpoint,
            "has norms between its halves and the residual stream: their weights cannot be moved through a rotation. Use AWQ or SmoothQuant, or rotate values alone",
        )),
    }
}

fn problem(checkpoint: &Checkpoint, problem: &str) -> Error {
    let architecture = checkpoint.architecture().unwrap_or("nothing");
    Error::Request(format!("{}: {architecture} {problem}", checkpoint.path().display()))
}
