//! Low-rank adapters merged into a model's weights.

use std::path::Path;

use edgeformer_core::config::AdapterSetting;
use edgeformer_models::OpenOptions;
use edgeformer_models::adapter::AdapterFile;
use edgeformer_models::checkpoint::Checkpoint;

use crate::{Result, available_cores};

pub use edgeformer_quantize::merge::Formats;

/// A model as a checkpoint with adapters merged into its weights, which are computed when it is
/// written. What an adapter beside the weights cannot change is merged too: experts, up-projections
/// of latents, a table of embeddings that the head does not share.
///
/// # Errors
/// If a file is damaged, or an adapter is for another model.
pub fn merged(model: &Path, adapters: &[AdapterSetting], formats: Formats) -> Result<Checkpoint> {
    let file = edgeformer_models::open_with(model, &OpenOptions { tokenizer: false })?;
    let checkpoint = Checkpoint::open(model)?;
    let adapter = |setting: &AdapterSetting| -> Result<_> {
        let adapter = AdapterFile::open(&setting.path)?.for_checkpoint(&file, &checkpoint)?;
        Ok(adapter.scaled(setting.scale))
    };
    let adapters = adapters.iter().map(adapter).collect::<Result<Vec<_>>>()?;
    Ok(edgeformer_quantize::merge::merge(&checkpoint, &adapters, formats, available_cores())?)
}
