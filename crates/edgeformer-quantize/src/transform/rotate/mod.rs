//! Rotations folded into weights (QuaRot, Ashkboos et al., arXiv 2404.00456; SpinQuant, Liu et
//! al., arXiv 2405.16406, rotations R1 and R2).
//!
//! - **R1**: the residual stream `x` becomes `x Q`. An RMS norm does not see a rotation once its
//!   weight is moved into the matrices that read it. Whatever writes the stream (embeddings,
//!   `attn_output`, `ffn_down`) writes it rotated, whatever reads it expects it so.
//! - **R2**: every value head `v` becomes `v Q`, and `attn_output` expects it so. Files that hold
//!   the up-projection of latents twice (`attn_kv_b` and `attn_v_b`) keep their values as they are.
//!
//! Outliers of single channels are spread over all, in weights and in activations, without data.
//! A tied head is written on its own, since it reads another basis than the table holds: the file
//! grows by it. An importance matrix of the model before does not fit the model after: calibrate
//! again.
//!
//! Left out on purpose are the rotations that a runtime would have to apply at every token (R3 of
//! keys behind their position, R4 of the down-projection's input): GGUF has no place to say so,
//! and every other runtime would compute something else.

mod hadamard;
mod refuse;
mod residual;
mod values;

use std::sync::Arc;

use edgeformer_models::checkpoint::Checkpoint;

use super::fold::foldables;
use crate::Result;

use hadamard::Rotation;

/// The key that says a model was rotated, and how.
const KEY: &str = "edgeformer.rotation";
/// The key of the rotation's seed.
const SEED: &str = "edgeformer.rotation.seed";

/// What is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotateOptions {
    /// From which the rotations are made.
    pub seed: u64,
    /// Whether the residual stream is (R1).
    pub residual: bool,
    /// Whether value heads are (R2).
    pub values: bool,
}

impl Default for RotateOptions {
    fn default() -> Self {
        Self { seed: 0, residual: true, values: true }
    }
}

/// What rotation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    /// Elements of the output head that the model did not have on its own before, by which it
    /// grows; 0 if it was not tied.
    pub added_head: usize,
}

/// Rotates a model. What was changed is in f32; nothing is if there is an error.
///
/// # Errors
/// If the model was rotated already, or is of a family whose residual stream cannot be rotated:
/// layer norms (GPT-2, BERT, ViT), norms between a half and the stream (Gemma 2 and 3).
pub fn rotate(checkpoint: &mut Checkpoint, options: &RotateOptions) -> Result<Rotated> {
    refuse::rotated(checkpoint)?;
    // Clones are cheap: tensors are made when they are asked for.
    let mut changed = checkpoint.clone();
    let mut added_head = 0;
    if options.residual {
        refuse::family(&changed)?;
        added_head = residual::untie(&mut changed)?;
        residual::rotate(&mut changed, options.seed)?;
    }
    if options.values {
        let pairs = foldables(&changed)?;
        values::rotate(&mut changed, &pairs, options.seed)?;
    }
    if options.residual || options.values {
        changed.set(KEY, "hadamard");
        changed.set(SEED, options.seed);
    }
    *checkpoint = changed;
    Ok(Rotated { added_head })
}

/// A rotation that closures share.
fn rotation(width: usize, seed: u64) -> Arc<Rotation> {
    Arc::new(Rotation::new(width, seed))
}
