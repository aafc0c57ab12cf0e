//! Rotary embeddings as GGUF states them: keys, and tensors of divisors.

use edgeformer_core::graph::{Rope, RopeScaling, yarn_mscale};
use edgeformer_core::{Format, Tensor};

use super::keys::Writer;
use crate::Result;
use crate::checkpoint::LazyTensor;
use crate::hyper::{Decoder, Family, Rotary};
use crate::json::Object;

pub(super) fn keys(keys: &mut Writer, decoder: &Decoder, config: &Object) -> Result<()> {
    let Some(rotary) = &decoder.rotary else { return Ok(()) };
    keys.size("rope.dimension_count", rotary.dims);
    keys.own("rope.freq_base", rotary.base);
    if let Some(local) = &decoder.local_rotary {
        keys.own("rope.freq_base_swa", local.base);
    }
    match rotary.scaling {
        RopeScaling::None | RopeScaling::Llama3 { .. } | RopeScaling::Factors { .. } => {}
        RopeScaling::Linear { factor } => {
            keys.own("rope.scaling.type", "linear".to_owned());
            keys.own("rope.scaling.factor", factor);
        }
        RopeScaling::LongRope { original_context, attention_factor, .. } => {
            keys.size("rope.scaling.original_context_length", original_context);
            keys.own("rope.scaling.attn_factor", attention_factor);
        }
        RopeScaling::Yarn { .. } => yarn(keys, decoder, &rotary.scaling, config)?,
    }
    Ok(())
}

/// DeepSeek's temperature goes to the scores (`0.1 * mscale_all_dim` as `yarn_log_multiplier`),
/// that of others to sines and cosines, where a reader adds what the factor implies.
fn yarn(
    keys: &mut Writer,
    decoder: &Decoder,
    scaling: &RopeScaling,
    config: &Object,
) -> Result<()> {
    let &RopeScaling::Yarn {
        factor, original_context, beta_fast, beta_slow, attention_factor, ..
    } = scaling
    else {
        return Ok(());
    };
    keys.own("rope.scaling.type", "yarn".to_owned());
    keys.own("rope.scaling.factor", factor);
    keys.size("rope.scaling.original_context_length", original_context);
    if (beta_fast, beta_slow) != (32.0, 1.0) {
        keys.own("rope.scaling.yarn_beta_fast", beta_fast);
        keys.own("rope.scaling.yarn_beta_slow", beta_slow);
    }
    let all = match decoder.latent {
        Some(_) => mscale_all_dim(config)?,
        None => None,
    };
    if let Some(all) = all {
        keys.own("rope.scaling.yarn_log_multiplier", 0.1 * all);
    }
    let implied = if all.is_some() && factor > 1.0 { 1.0 } else { yarn_mscale(factor, 1.0) };
    if attention_factor != implied {
        keys.own("rope.scaling.attn_factor", attention_factor / implied);
    }
    Ok(())
}

fn mscale_all_dim(config: &Object) -> Result<Option<f32>> {
    for key in ["rope_parameters", "rope_scaling"] {
        if let Some(parameters) = config.optional_object(key)? {
            let all = parameters.optional_number("mscale_all_dim")?;
            return Ok(all.filter(|&all| all != 0.0));
        }
    }
    Ok(None)
}

/// The divisors that llama3's scaling and LongRoPE are stated by.
pub(super) fn tensors(decoder: &Decoder) -> Vec<LazyTensor> {
    let vector = |name: &str, values: Vec<f32>| {
        let shape = [values.len()];
        LazyTensor::new(name, Format::F32, shape, move || {
            Tensor::from_f32(shape, &values).map_err(|error| crate::Error::Text(error.to_string()))
        })
    };
    match decoder.rotary.as_ref().map(|rotary| (rotary, &rotary.scaling)) {
        Some((rotary, RopeScaling::Llama3 { .. })) => {
            vec![vector("rope_freqs.weight", divisors(rotary))]
        }
        Some((_, RopeScaling::LongRope { short, long, .. })) => vec![
            vector("rope_factors_long.weight", long.clone()),
            vector("rope_factors_short.weight", short.clone()),
        ],
        _ => Vec::new(),
    }
}

/// What a scaling divides each frequency by.
pub(in crate::checkpoint) fn divisors(rotary: &Rotary) -> Vec<f32> {
    let scaled = rotary.of(1);
    let plain = Rope { scaling: RopeScaling::None, ..scaled.clone() };
    let pairs = plain.frequencies(1).into_iter().zip(scaled.frequencies(1));
    pairs.map(|(plain, scaled)| plain / scaled).collect()
}

/// Whether a family's heads are rotated as neighbours in GGUF.
pub(super) fn is_interleaved(family: Family) -> bool {
    matches!(family, Family::Llama | Family::Mistral | Family::DeepseekV2 | Family::DeepseekV3)
}
