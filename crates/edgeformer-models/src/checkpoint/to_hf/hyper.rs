//! What a folder's `config.json` must state: the same model but for what conversion settled.

use edgeformer_core::graph::{RopeLayout, RopeScaling};

use crate::checkpoint::Checkpoint;
use crate::checkpoint::from_hf::{LLAMA3, MODEL_TYPE, divisors};
use crate::gguf::Metadata;
use crate::gguf_model;
use crate::hyper::{Decoder, Family, Hyper, Rotary};
use crate::{Error, Result};

pub(super) fn in_hf(checkpoint: &Checkpoint, metadata: &Metadata) -> Result<Hyper> {
    let mut hyper = gguf_model::hyper(metadata, checkpoint)?;
    if let Hyper::Decoder(decoder) = &mut hyper {
        unsettle(decoder, metadata, checkpoint)?;
    }
    Ok(hyper)
}

fn unsettle(decoder: &mut Decoder, metadata: &Metadata, checkpoint: &Checkpoint) -> Result<()> {
    let windows = decoder.windows.iter().any(Option::is_some);
    match decoder.family {
        Family::Llama if decoder.experts.is_some() => {
            let problem = "is of llama models with experts (Mixtral), which are not written";
            return Err(metadata.error("llama.expert_count", problem));
        }
        Family::Llama if windows || metadata.str(MODEL_TYPE)? == Some("mistral") => {
            decoder.family = Family::Mistral;
        }
        Family::Gemma2 | Family::Gemma3 => decoder.norm_offset = 1.0,
        _ => {}
    }
    if let Some(latent) = &mut decoder.latent {
        latent.split = false;
    }
    let neighbours = matches!(decoder.family, Family::Llama | Family::Mistral);
    let Some(rotary) = &mut decoder.rotary else { return Ok(()) };
    if neighbours {
        rotary.layout = RopeLayout::Halves;
    }
    if let RopeScaling::Factors { factors } = &rotary.scaling {
        rotary.scaling = llama3(rotary, factors, metadata)?.ok_or_else(|| {
            let problem = "are divisors of no scaling that config.json knows";
            Error::format(checkpoint.path(), "tensor \"rope_freqs.weight\"", problem)
        })?;
    }
    Ok(())
}

/// The scaling that a tensor of divisors stands for: the recorded one, or that of Llama 3.1 and
/// later, whose factor is the largest divisor. It must give the same divisors.
fn llama3(rotary: &Rotary, factors: &[f32], metadata: &Metadata) -> Result<Option<RopeScaling>> {
    let recorded = metadata.f32_array(LLAMA3)?;
    let largest = factors.iter().copied().fold(1.0, f32::max);
    let [factor, low_freq_factor, high_freq_factor, context] = match recorded.as_deref() {
        Some(&[factor, low, high, context]) => [factor, low, high, context],
        _ => [largest, 1.0, 4.0, 8192.0],
    };
    let original_context = context as usize;
    let scaling =
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context };
    let made = divisors(&Rotary { scaling: scaling.clone(), ..rotary.clone() });
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-3 * b.abs();
    let same = made.len() == factors.len() && made.iter().zip(factors).all(near);
    Ok(same.then_some(scaling))
}
