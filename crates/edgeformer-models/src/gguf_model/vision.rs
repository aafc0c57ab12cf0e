//! Architecture `vit`: image encoders under the keys that llama.cpp has for them
//! (`clip.vision.*`), and under our own (`vit.*`) for what it has none.

use edgeformer_core::graph::Activation;

use super::keys::{Keys, Tensors};
use crate::Result;
use crate::gguf::Metadata;
use crate::hf_config::{ACTIVATIONS, activation_named};
use crate::hyper::{Feed, Vision};
use crate::preprocessor::{Preprocessor, RESAMPLES, Resample, Resize};

/// The prefix of llama.cpp's keys.
const CLIP: &str = "clip.vision";
/// The prefix of our own.
const OWN: &str = "vit";

pub(super) fn vit(metadata: &Metadata, tensors: &dyn Tensors) -> Result<Vision> {
    let clip = Keys { metadata, tensors, architecture: CLIP };
    let own = Keys { metadata, tensors, architecture: OWN };
    let (width, heads) = (clip.size("embedding_length")?, clip.size("attention.head_count")?);
    if !width.is_multiple_of(heads) {
        let problem = format!("is {heads}, which does not divide the width {width}");
        return Err(clip.error("attention.head_count", problem));
    }
    Ok(Vision {
        channels: own.optional_size("channel_count")?.unwrap_or(3),
        image: sides(&clip, &own, "image_size")?,
        patch: sides(&clip, &own, "patch_size")?,
        width,
        layers: clip.layers()?,
        heads,
        feed: Feed {
            width: clip.size("feed_forward_length")?,
            activation: activation(&own)?,
            bias: true,
        },
        input_bias: clip.has("v.blk.0.attn_q.bias"),
        norm_eps: clip.positive("attention.layer_norm_epsilon")?,
        classes: clip.classes()?,
    })
}

/// Height and width: our own key where they differ, llama.cpp's where they do not.
fn sides(clip: &Keys<'_>, own: &Keys<'_>, key: &str) -> Result<[usize; 2]> {
    match pair(own, key)? {
        Some(sides) => Ok(sides.map(|side| side as usize)),
        None => Ok([clip.size(key)?; 2]),
    }
}

/// Two sizes under one key of our own.
fn pair(own: &Keys<'_>, key: &str) -> Result<Option<[u32; 2]>> {
    let Some(list) = own.metadata.u32_array(&format!("{OWN}.{key}"))? else { return Ok(None) };
    match *list.as_slice() {
        [height, width] if (1..=1 << 14).contains(&height) && (1..=1 << 14).contains(&width) => {
            Ok(Some([height, width]))
        }
        _ => Err(own.error(key, "must be a height and a width from 1 to 16384")),
    }
}

fn activation(own: &Keys<'_>) -> Result<Activation> {
    let key = "activation";
    let name = own.text(key)?.unwrap_or("gelu");
    activation_named(name).ok_or_else(|| {
        own.error(key, format!("is {name:?}, an unknown function; known are {ACTIVATIONS}"))
    })
}

/// How images are prepared; `None` where the file does not say.
pub(crate) fn preprocessor(
    metadata: &Metadata,
    tensors: &dyn Tensors,
    vision: &Vision,
) -> Result<Option<Preprocessor>> {
    let own = Keys { metadata, tensors, architecture: OWN };
    let numbers = |key: &'static str| {
        let full = format!("{CLIP}.{key}");
        match metadata.f32_array(&full)? {
            Some(numbers) if numbers.len() != vision.channels => {
                let problem =
                    format!("has {} numbers for {} channels", numbers.len(), vision.channels);
                Err(metadata.error(&full, problem))
            }
            numbers => Ok(numbers),
        }
    };
    let (Some(mean), Some(std)) = (numbers("image_mean")?, numbers("image_std")?) else {
        return Ok(None);
    };
    if std.contains(&0.0) {
        let key = format!("{CLIP}.image_std");
        return Err(metadata.error(&key, "has a zero, nothing can be divided by it"));
    }
    let exact = pair(&own, "resize")?.map(|[height, width]| Resize::Exact { height, width });
    let shortest = own.optional_size("resize_shortest_edge")?;
    let shortest = shortest.map(|edge| Resize::ShortestEdge(edge as u32));
    Ok(Some(Preprocessor {
        resize: exact.or(shortest),
        resample: resample(&own)?,
        crop: pair(&own, "crop")?,
        rescale: own.optional_positive("rescale_factor")?.unwrap_or(1.0),
        mean,
        std,
    }))
}

/// Pillow's numbers of filters.
fn resample(own: &Keys<'_>) -> Result<Resample> {
    let key = "resample";
    let number = own.optional_count(key)?.unwrap_or(2);
    Resample::numbered(number)
        .ok_or_else(|| own.error(key, format!("is {number}; known are {RESAMPLES}")))
}
