//! How many bytes a file may have, and which formats those buy.

use std::collections::HashSet;

use edgeformer_core::Format;
use edgeformer_models::checkpoint::{Checkpoint, LazyTensor};
use edgeformer_models::gguf::DEFAULT_ALIGNMENT;
use edgeformer_quantize::allocate::allocate;
use edgeformer_quantize::job::{self, Options, Recipe};
use edgeformer_quantize::mixture::Mixture;

use super::sensitivity::{Sensitivity, formats};
use crate::{Error, Result};

/// The mixture that says which tensors are quantized at all, and what the file calls itself.
pub(super) fn base_of(bits: f64) -> Result<Mixture> {
    let close = |mixture: &&Mixture| {
        let format = mixture.base();
        let own = format.block_bytes() as f64 * 8.0 / format.block_len() as f64;
        (own - bits).abs()
    };
    let block = Mixture::ALL.iter().filter(|mixture| !mixture.base().is_float());
    let nearest = block.min_by(|a, b| close(a).total_cmp(&close(b)));
    nearest.copied().ok_or_else(|| Error::Request("there is no mixture".into()))
}

/// Bytes that a tensor takes in a file.
pub(super) fn stored(format: Format, shape: &[usize]) -> Result<u64> {
    Ok(format.tensor_bytes(shape)?.next_multiple_of(DEFAULT_ALIGNMENT) as u64)
}

/// Bytes that tensors may take together, at so many bits a weight.
pub(super) fn of_bits(checkpoint: &Checkpoint, bits: f64) -> u64 {
    (weights(checkpoint) as f64 * bits / 8.0) as u64
}

/// Bytes that tensors may take together, so that the file is no larger than one in the formats of
/// `base` that says nothing of how it was made.
pub(super) fn of_file(
    checkpoint: &Checkpoint,
    base: &Recipe,
    options: &Options<'_>,
) -> Result<u64> {
    let silent = Options { describe: false, ..*options };
    let said = job::size(checkpoint, base, options)? - job::size(checkpoint, base, &silent)?;
    let tensors = checkpoint.tensors.iter();
    let bytes = tensors.map(|tensor| stored(base.of(tensor).format, tensor.shape()));
    Ok(bytes.sum::<Result<u64>>()?.saturating_sub(said))
}

/// Whether the smallest formats of all tensors fit into `budget` bytes.
pub(super) fn check(checkpoint: &Checkpoint, base: &Recipe, budget: u64) -> Result<()> {
    let quantized: HashSet<&str> = base.tensors().collect();
    let least = |tensor: &LazyTensor| match quantized.contains(tensor.name()) {
        true => least(tensor.shape()),
        false => stored(base.of(tensor).format, tensor.shape()),
    };
    let least: u64 = checkpoint.tensors.iter().map(least).sum::<Result<u64>>()?;
    if least <= budget {
        return Ok(());
    }
    let bits = least as f64 * 8.0 / weights(checkpoint).max(1) as f64;
    Err(Error::Request(format!(
        "the model does not fit: its smallest formats take {bits:.2} bits a weight, norms and all"
    )))
}

/// The base with the formats that sensitivities are worth within `budget` bytes of tensors.
pub(super) fn allocated(
    checkpoint: &Checkpoint,
    base: &Recipe,
    found: &[Sensitivity],
    budget: u64,
    name: &str,
) -> Result<Recipe> {
    let named: HashSet<&str> = found.iter().map(|found| found.tensor.as_str()).collect();
    let others = checkpoint.tensors.iter().filter(|tensor| !named.contains(tensor.name()));
    let fixed = others.map(|tensor| stored(base.of(tensor).format, tensor.shape()));
    let fixed = fixed.sum::<Result<u64>>()?;
    let offers: Vec<_> = found.iter().map(|sensitivity| sensitivity.offers.clone()).collect();
    let allocation = allocate(&offers, budget.saturating_sub(fixed))
        .ok_or_else(|| Error::Request("no formats fit into that size".into()))?;
    let picks = found.iter().zip(&allocation.picks);
    let formats = picks
        .map(|(sensitivity, &pick)| (sensitivity.tensor.clone(), sensitivity.offers[pick].format));
    Ok(base.clone().with(name, formats))
}

/// Bytes of the smallest format that a tensor of that shape can have.
fn least(shape: &[usize]) -> Result<u64> {
    let columns = shape.last().copied().unwrap_or(1);
    let bytes = formats(columns).iter().map(|&format| stored(format, shape));
    Ok(bytes.collect::<Result<Vec<_>>>()?.into_iter().min().unwrap_or(0))
}

fn weights(checkpoint: &Checkpoint) -> u64 {
    checkpoint.tensors.iter().map(|tensor| tensor.elements() as u64).sum()
}
