//! A checkpoint, quantized tensor by tensor into a GGUF file.
//!
//! - `recipe`: which tensor gets which format
//! - `tensor`: one tensor, a few rows at a time
//! - `report`: what became of each

mod recipe;
mod report;
mod tensor;

use std::path::Path;
use std::sync::Mutex;

use edgeformer_models::checkpoint::Checkpoint;

use crate::calibration::{Hessians, Imatrix};
use crate::rounding::Method;
use crate::{Error, Result};

pub use recipe::{Choice, Recipe};
pub use report::{Report, TensorReport};
pub use tensor::{Rounded, round};

/// The version of ggml's block formats that is written.
const QUANTIZATION_VERSION: u32 = 2;

/// How tensors are rounded.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// How. Where GPTQ has no Hessian for a tensor (tables, whose inputs are single rows), it is
    /// rounded by [`Method::KQuant`].
    pub method: Method,
    /// `E[x²]` of the inputs.
    pub imatrix: Option<&'a Imatrix>,
    /// `E[x xᵀ]` of the inputs.
    pub hessians: Option<&'a Hessians>,
    /// Threads that round.
    pub threads: usize,
    /// Whether tensors that are quantized already are quantized again: what they lost stays lost.
    pub allow_requantize: bool,
    /// Whether weights that are no numbers become zero instead of an error.
    pub allow_nonfinite: bool,
    /// Whether the file says how it was made: some bytes of metadata.
    pub describe: bool,
}

/// Told which tensor is worked on, and how many weights of how many are done.
pub type Progress<'a> = dyn Fn(&str, u64, u64) -> std::io::Result<()> + 'a;

/// Quantizes a checkpoint into a file, which appears when it is complete.
///
/// Memory is bounded by the largest tensor that GPTQ rounds, as floats, and for other methods by a
/// few million weights.
///
/// # Errors
/// If a tensor cannot be quantized as the recipe says, or the file not be written.
pub fn quantize(
    checkpoint: &Checkpoint,
    recipe: &Recipe,
    options: &Options<'_>,
    output: &Path,
    progress: &Progress<'_>,
) -> Result<Report> {
    let checkpoint = described(checkpoint, recipe, options);
    // The writer's closures may fail as files do, not as tensors do: this keeps why.
    let failed = Mutex::new(None);
    let done = Mutex::new(Vec::new());
    let mut writer = checkpoint.metadata_writer();
    let all: u64 = checkpoint.tensors.iter().map(|tensor| tensor.elements() as u64).sum();
    let mut before = 0;
    for tensor in &checkpoint.tensors {
        let choice = recipe.of(tensor);
        let (failed, done, checkpoint) = (&failed, &done, &checkpoint);
        let (start, elements) = (before, tensor.elements() as u64);
        before += elements;
        writer.generated(tensor.name(), choice.format, tensor.shape(), move |out| {
            let told = |rows: u64| progress(tensor.name(), start + rows, all);
            let report = tensor::quantize(tensor, &choice, options, out, &told);
            checkpoint.release();
            match report {
                Ok(report) => lock(done).push(report),
                Err(Error::Io(error)) => return Err(error),
                Err(error) => {
                    let text = error.to_string();
                    *lock(failed) = Some(error);
                    return Err(std::io::Error::other(text));
                }
            }
            Ok(())
        });
    }
    let written = writer.write_file(output);
    drop(writer);
    if let Some(error) = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        return Err(error);
    }
    written?;
    let tensors = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let bytes = std::fs::metadata(output).map(|file| file.len())?;
    Ok(Report::new(output, bytes, recipe, options, tensors))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Bytes that the file will have.
///
/// # Errors
/// If what it is made of does not make a valid file.
pub fn size(checkpoint: &Checkpoint, recipe: &Recipe, options: &Options<'_>) -> Result<u64> {
    let checkpoint = described(checkpoint, recipe, options);
    let mut writer = checkpoint.metadata_writer();
    for tensor in &checkpoint.tensors {
        writer.generated(tensor.name(), recipe.of(tensor).format, tensor.shape(), |_| Ok(()));
    }
    Ok(writer.file_len()?)
}

/// A checkpoint whose metadata name what it is quantized to, and how.
fn described(checkpoint: &Checkpoint, recipe: &Recipe, options: &Options<'_>) -> Checkpoint {
    let mut checkpoint = checkpoint.clone();
    checkpoint.set("general.quantization_version", QUANTIZATION_VERSION);
    checkpoint.set("general.file_type", recipe.file_type());
    // How the source was made is not how this is.
    recipe::DESCRIPTION.iter().for_each(|key| checkpoint.unset(key));
    if options.describe {
        recipe::describe(&mut checkpoint, options);
    }
    checkpoint
}
