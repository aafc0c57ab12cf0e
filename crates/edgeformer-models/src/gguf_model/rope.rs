//! Rotary embeddings in GGUF: some scalings are metadata, others tensors of divisors.

use edgeformer_core::graph::{RopeLayout, RopeScaling, yarn_mscale};

use super::keys::Keys;
use crate::Result;
use crate::hf_config::longrope_mscale;
use crate::hyper::Rotary;

/// The rotary embedding of heads of `head_dim`.
pub(super) fn rotary(keys: &Keys<'_>, head_dim: usize, layout: RopeLayout) -> Result<Rotary> {
    let dims = dims(keys, head_dim)?;
    let base = keys.optional_positive("rope.freq_base")?.unwrap_or(10_000.0);
    Ok(Rotary { dims, layout, base, scaling: scaling(keys)? })
}

/// The rotary embedding of Gemma 3's layers with a window: its base is rarely stated.
pub(super) fn local_rotary(keys: &Keys<'_>, head_dim: usize) -> Result<Rotary> {
    let dims = dims(keys, head_dim)?;
    let base = keys.optional_positive("rope.freq_base_swa")?.unwrap_or(10_000.0);
    Ok(Rotary { dims, layout: RopeLayout::Halves, base, scaling: RopeScaling::None })
}

/// Columns of a head that are rotated.
fn dims(keys: &Keys<'_>, head_dim: usize) -> Result<usize> {
    let key = "rope.dimension_count";
    match keys.optional_size(key)?.unwrap_or(head_dim) {
        dims if dims.is_multiple_of(2) && dims <= head_dim => Ok(dims),
        dims => {
            let problem =
                format!("is {dims} of {head_dim} columns of a head, it must be an even part");
            Err(keys.error(key, problem))
        }
    }
}

fn scaling(keys: &Keys<'_>) -> Result<RopeScaling> {
    if let Some(factors) = keys.tensors.tensor("rope_freqs.weight") {
        return Ok(RopeScaling::Factors { factors: factors.to_f32() });
    }
    let (short, long) = ("rope_factors_short.weight", "rope_factors_long.weight");
    if let (Some(short), Some(long)) = (keys.tensors.tensor(short), keys.tensors.tensor(long)) {
        return longrope(keys, short.to_f32(), long.to_f32());
    }
    let factor = keys.optional_number("rope.scaling.factor")?.filter(|&factor| factor != 0.0);
    match keys.text("rope.scaling.type")? {
        Some("none") => Ok(RopeScaling::None),
        Some("linear") => linear(keys, "rope.scaling.factor"),
        Some("yarn") if factor.is_some() => yarn(keys),
        Some("yarn") => Err(keys.error("rope.scaling.factor", "is missing: YaRN needs it")),
        // Older files state the linear factor alone.
        None => linear(keys, "rope.scale_linear"),
        Some(other) => {
            let known = "none, linear, yarn, and longrope with tensors of divisors";
            let problem = format!("is {other:?}; known are {known}");
            Err(keys.error("rope.scaling.type", problem))
        }
    }
}

fn linear(keys: &Keys<'_>, key: &str) -> Result<RopeScaling> {
    match keys.optional_positive(key)? {
        None | Some(1.0) => Ok(RopeScaling::None),
        Some(factor) => Ok(RopeScaling::Linear { factor }),
    }
}

fn yarn(keys: &Keys<'_>) -> Result<RopeScaling> {
    let factor = keys.positive("rope.scaling.factor")?;
    let stated = keys.optional_positive("rope.scaling.attn_factor")?.unwrap_or(1.0);
    // DeepSeek's files move the temperature from sines and cosines to the scores; see `deepseek`.
    let on_scores = score_mscale(keys)? != 1.0;
    let temperature = if on_scores { 1.0 } else { yarn_mscale(factor, 1.0) };
    Ok(RopeScaling::Yarn {
        factor,
        original_context: original_context(keys)?,
        beta_fast: keys.optional_positive("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
        beta_slow: keys.optional_positive("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
        truncate: true,
        attention_factor: stated * temperature,
    })
}

/// DeepSeek's YaRN temperature `0.1 * mscale_all_dim * ln(factor) + 1`; its files hold
/// `0.1 * mscale_all_dim` as `yarn_log_multiplier`.
pub(super) fn score_mscale(keys: &Keys<'_>) -> Result<f32> {
    let multiplier = keys.optional_number("rope.scaling.yarn_log_multiplier")?.unwrap_or(0.0);
    match keys.optional_positive("rope.scaling.factor")? {
        Some(factor) if factor > 1.0 => Ok(1.0 + multiplier * factor.ln()),
        _ => Ok(1.0),
    }
}

fn longrope(keys: &Keys<'_>, short: Vec<f32>, long: Vec<f32>) -> Result<RopeScaling> {
    let original_context = original_context(keys)?;
    let attention_factor = match keys.optional_positive("rope.scaling.attn_factor")? {
        Some(stated) => stated,
        None => {
            let longer = keys.size("context_length")? as f32 / original_context as f32;
            longrope_mscale(longer, original_context)
        }
    };
    Ok(RopeScaling::LongRope { short, long, original_context, attention_factor })
}

fn original_context(keys: &Keys<'_>) -> Result<usize> {
    match keys.optional_size("rope.scaling.original_context_length")? {
        Some(context) => Ok(context),
        None => keys.size("context_length"),
    }
}
