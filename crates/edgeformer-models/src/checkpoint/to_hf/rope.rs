//! Rotary embeddings in `config.json`, in the older form that all versions of transformers read.

use edgeformer_core::graph::{RopeScaling, yarn_mscale};
use serde_json::{Map, Value, json};

use super::number;
use crate::Result;
use crate::gguf::Metadata;
use crate::hf_config::longrope_mscale;
use crate::hyper::{Decoder, Family};

pub(super) fn config(
    config: &mut Map<String, Value>,
    decoder: &Decoder,
    metadata: &Metadata,
) -> Result<()> {
    let Some(rotary) = &decoder.rotary else { return Ok(()) };
    config.insert("rope_theta".into(), number(rotary.base));
    if let Some(local) = &decoder.local_rotary {
        config.insert("rope_local_base_freq".into(), number(local.base));
    }
    let rotated = decoder.latent.map_or(decoder.attention.key_dim, |latent| latent.rope_dim);
    if rotary.dims != rotated {
        let share = rotary.dims as f64 / rotated as f64;
        config.insert("partial_rotary_factor".into(), share.into());
    }
    let scaling = match &rotary.scaling {
        RopeScaling::None | RopeScaling::Factors { .. } => Value::Null,
        RopeScaling::Linear { factor } => named("linear", json!({"factor": number(*factor)})),
        &RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
            named(
                "llama3",
                json!({
                    "factor": number(factor),
                    "low_freq_factor": number(low_freq_factor),
                    "high_freq_factor": number(high_freq_factor),
                    "original_max_position_embeddings": original_context,
                }),
            )
        }
        RopeScaling::Yarn { .. } => yarn(decoder, &rotary.scaling, metadata)?,
        RopeScaling::LongRope { short, long, original_context, attention_factor } => {
            config.insert("original_max_position_embeddings".into(), json!(original_context));
            longrope(short, long, *attention_factor, decoder.context, *original_context)
        }
    };
    config.insert("rope_scaling".into(), scaling);
    Ok(())
}

/// Parameters with their kind under both of its names: `rope_type` today, `type` before.
fn named(kind: &str, mut parameters: Value) -> Value {
    parameters["rope_type"] = kind.into();
    parameters["type"] = kind.into();
    parameters
}

fn yarn(decoder: &Decoder, scaling: &RopeScaling, metadata: &Metadata) -> Result<Value> {
    let &RopeScaling::Yarn {
        factor, original_context, beta_fast, beta_slow, attention_factor, ..
    } = scaling
    else {
        return Ok(Value::Null);
    };
    let mut parameters = json!({
        "factor": number(factor),
        "original_max_position_embeddings": original_context,
        "beta_fast": number(beta_fast),
        "beta_slow": number(beta_slow),
    });
    let latent = matches!(decoder.family, Family::DeepseekV2 | Family::DeepseekV3);
    let multiplier = match latent {
        true => metadata.f32("deepseek2.rope.scaling.yarn_log_multiplier")?.unwrap_or(0.0),
        false => 0.0,
    };
    // Files hold a tenth, rounded; what people wrote has few digits.
    let all = (f64::from(multiplier) * 1e7).round() / 1e6;
    if all != 0.0 {
        parameters["mscale_all_dim"] = all.into();
    }
    let implied = match all != 0.0 {
        true => {
            parameters["mscale"] = all.into();
            1.0
        }
        false => yarn_mscale(factor, 1.0),
    };
    if attention_factor != implied {
        parameters["attention_factor"] = number(attention_factor);
    }
    Ok(named("yarn", parameters))
}

fn longrope(short: &[f32], long: &[f32], attention: f32, context: usize, original: usize) -> Value {
    let list = |factors: &[f32]| factors.iter().map(|&factor| number(factor)).collect::<Vec<_>>();
    let mut parameters = json!({"short_factor": list(short), "long_factor": list(long)});
    let implied = longrope_mscale(context as f32 / original as f32, original);
    if attention != implied {
        parameters["attention_factor"] = number(attention);
    }
    named("longrope", parameters)
}
