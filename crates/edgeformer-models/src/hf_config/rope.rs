//! Rotary embeddings in `config.json`: the older form (`rope_theta`, `rope_scaling`) and the newer
//! one (`rope_parameters`, for some models one a layer type).

use edgeformer_core::graph::{RopeLayout, RopeScaling, yarn_mscale};

use crate::Result;
use crate::hyper::Rotary;
use crate::json::Object;

/// Hugging Face rotates column `i` with `i + dims / 2`; DeepSeek is the exception.
const LAYOUT: RopeLayout = RopeLayout::Halves;

/// The rotary embedding of heads of `head_dim`, for layers of that type where types have their own.
pub(super) fn rotary(config: &Object, head_dim: usize, layer_type: Option<&str>) -> Result<Rotary> {
    let Some(parameters) = parameters(config, layer_type)? else {
        return plain(config, head_dim, config.positive_or("rope_theta", 10_000.0)?);
    };
    let base = match parameters.optional_positive("rope_theta")? {
        Some(base) => base,
        None => config.positive_or("rope_theta", 10_000.0)?,
    };
    let share = match parameters.optional_positive("partial_rotary_factor")? {
        Some(share) => share,
        None => config.positive_or("partial_rotary_factor", 1.0)?,
    };
    let scaling = scaling(config, &parameters)?;
    Ok(Rotary { dims: rotated(config, head_dim, share)?, layout: LAYOUT, base, scaling })
}

/// The rotary embedding of Gemma 3's layers with a window, which knows no scaling in older files.
pub(super) fn local_rotary(config: &Object, head_dim: usize) -> Result<Rotary> {
    let nested = config.optional_object("rope_parameters")?;
    match nested.map(|all| all.optional_object("sliding_attention")).transpose()?.flatten() {
        Some(parameters) => {
            let base = parameters.positive_or("rope_theta", 10_000.0)?;
            let scaling = scaling(config, &parameters)?;
            Ok(Rotary { scaling, ..plain(config, head_dim, base)? })
        }
        None => plain(config, head_dim, config.positive_or("rope_local_base_freq", 10_000.0)?),
    }
}

fn plain(config: &Object, head_dim: usize, base: f32) -> Result<Rotary> {
    let share = config.positive_or("partial_rotary_factor", 1.0)?;
    let dims = rotated(config, head_dim, share)?;
    Ok(Rotary { dims, layout: LAYOUT, base, scaling: RopeScaling::None })
}

/// Columns of a head that are rotated: transformers rounds down.
fn rotated(config: &Object, head_dim: usize, share: f32) -> Result<usize> {
    let dims = (head_dim as f64 * f64::from(share)) as usize;
    if share <= 1.0 && dims > 0 && dims.is_multiple_of(2) {
        return Ok(dims);
    }
    let key = if share == 1.0 { "head_dim" } else { "partial_rotary_factor" };
    let problem =
        format!("rotates {dims} of {head_dim} columns of a head, it must be an even part");
    Err(config.error(key, problem))
}

/// What a file says of rotation, in whichever form.
pub(super) fn parameters(config: &Object, layer_type: Option<&str>) -> Result<Option<Object>> {
    let Some(all) = config.optional_object("rope_parameters")? else {
        return config.optional_object("rope_scaling");
    };
    match layer_type.map(|kind| all.optional_object(kind)).transpose()?.flatten() {
        Some(nested) => Ok(Some(nested)),
        None => Ok(Some(all)),
    }
}

fn scaling(config: &Object, parameters: &Object) -> Result<RopeScaling> {
    let key = if parameters.value("rope_type").is_some() { "rope_type" } else { "type" };
    match parameters.optional_text(key)? {
        None | Some("default") => Ok(RopeScaling::None),
        Some("linear") => Ok(RopeScaling::Linear { factor: parameters.positive("factor")? }),
        Some("llama3") => llama3(config, parameters),
        // Phi-3 wrote "su", and "yarn" with LongRoPE's divisors, before LongRoPE had a name.
        Some("yarn") if parameters.value("long_factor").is_none() => yarn(config, parameters),
        Some("longrope" | "su" | "yarn") => longrope(config, parameters),
        Some(other) => {
            let known = "default, linear, llama3, yarn, longrope";
            let problem = format!("is {other:?}, an unknown scaling; known are {known}");
            Err(parameters.error(key, problem))
        }
    }
}

fn llama3(config: &Object, parameters: &Object) -> Result<RopeScaling> {
    let (low, high) =
        (parameters.positive("low_freq_factor")?, parameters.positive("high_freq_factor")?);
    if low >= high {
        let problem = format!("is {high}, it must be above low_freq_factor {low}");
        return Err(parameters.error("high_freq_factor", problem));
    }
    Ok(RopeScaling::Llama3 {
        factor: parameters.positive("factor")?,
        low_freq_factor: low,
        high_freq_factor: high,
        original_context: original_context(config, parameters)?,
    })
}

fn yarn(config: &Object, parameters: &Object) -> Result<RopeScaling> {
    let original_context = original_context(config, parameters)?;
    let factor = factor(config, parameters, original_context)?;
    let mscales = (
        parameters.optional_number("mscale")?.filter(|&mscale| mscale != 0.0),
        parameters.optional_number("mscale_all_dim")?.filter(|&mscale| mscale != 0.0),
    );
    let attention_factor = match (parameters.optional_positive("attention_factor")?, mscales) {
        (Some(stated), _) => stated,
        (None, (Some(mscale), Some(all))) => yarn_mscale(factor, mscale) / yarn_mscale(factor, all),
        (None, _) => yarn_mscale(factor, 1.0),
    };
    Ok(RopeScaling::Yarn {
        factor,
        original_context,
        beta_fast: parameters.positive_or("beta_fast", 32.0)?,
        beta_slow: parameters.positive_or("beta_slow", 1.0)?,
        truncate: parameters.flag_or("truncate", true)?,
        attention_factor,
    })
}

fn longrope(config: &Object, parameters: &Object) -> Result<RopeScaling> {
    let original_context = original_context(config, parameters)?;
    let factor = factor(config, parameters, original_context)?;
    let attention_factor = match parameters.optional_positive("attention_factor")? {
        Some(stated) => stated,
        None => longrope_mscale(factor, original_context),
    };
    let (short, long) = (parameters.numbers("short_factor")?, parameters.numbers("long_factor")?);
    Ok(RopeScaling::LongRope { short, long, original_context, attention_factor })
}

/// LongRoPE's factor of sines and cosines for contexts `factor` times the original (arXiv
/// 2402.13753, as Phi-3's authors apply it).
pub(crate) fn longrope_mscale(factor: f32, original_context: usize) -> f32 {
    if factor <= 1.0 {
        return 1.0;
    }
    (1.0 + factor.ln() / (original_context as f32).ln()).sqrt()
}

fn original_context(config: &Object, parameters: &Object) -> Result<usize> {
    let key = "original_max_position_embeddings";
    match (config.optional_size(key)?, parameters.optional_size(key)?) {
        (Some(context), _) | (None, Some(context)) => Ok(context),
        (None, None) => config.size("max_position_embeddings"),
    }
}

/// The stated factor, or how much longer the context is than the original one.
fn factor(config: &Object, parameters: &Object, original_context: usize) -> Result<f32> {
    match parameters.optional_positive("factor")? {
        Some(factor) => Ok(factor),
        None => Ok(config.size("max_position_embeddings")? as f32 / original_context as f32),
    }
}
