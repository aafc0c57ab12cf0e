//! Keys of encoders: BERT and ViT.

use std::path::Path;

use edgeformer_core::graph::Pool;

use super::keys::Writer;
use crate::gguf::MetadataArray;
use crate::hf_config::activation_name;
use crate::hyper::{Encoder, Vision};
use crate::open::preprocessor;
use crate::preprocessor::{Preprocessor, Resize};
use crate::{Error, Result, pooling};

pub(super) fn bert(keys: &mut Writer, encoder: &Encoder, folder: &Path) -> Result<()> {
    keys.size("block_count", encoder.layers);
    keys.size("context_length", encoder.context);
    keys.size("embedding_length", encoder.width);
    keys.size("feed_forward_length", encoder.feed.width);
    keys.size("vocab_size", encoder.vocabulary);
    keys.size("attention.head_count", encoder.heads);
    keys.own("attention.layer_norm_epsilon", encoder.norm_eps);
    keys.own("attention.causal", false);
    keys.set("tokenizer.ggml.token_type_count", encoder.segments as u32);
    // Of a classifier the kind of pooling is the classifier.
    if let (Some(pool), None) = (pooling::of_folder(folder)?, encoder.classes) {
        let number: u32 = match pool {
            Pool::Mean => 1,
            Pool::Class => 2,
            Pool::Last => 3,
            Pool::Max => {
                let problem = "pools by the maximum, which GGUF has no number for";
                return Err(Error::format(&folder.join("1_Pooling/config.json"), "file", problem));
            }
        };
        keys.own("pooling_type", number);
    }
    Ok(())
}

/// llama.cpp's keys of image encoders, and our own for what it has none.
pub(super) fn vit(
    keys: &mut Writer,
    vision: &Vision,
    folder: &Path,
    labels: Vec<String>,
) -> Result<()> {
    let mut clip = |key: &str, size: usize| keys.set(&format!("clip.vision.{key}"), size as u32);
    clip("block_count", vision.layers);
    clip("embedding_length", vision.width);
    clip("feed_forward_length", vision.feed.width);
    clip("attention.head_count", vision.heads);
    clip("image_size", vision.image[0]);
    clip("patch_size", vision.patch[0]);
    keys.set("clip.vision.attention.layer_norm_epsilon", vision.norm_eps);
    for (key, [height, width]) in [("image_size", vision.image), ("patch_size", vision.patch)] {
        if height != width {
            keys.own(key, &[height as u32, width as u32][..]);
        }
    }
    keys.size("channel_count", vision.channels);
    keys.own("activation", activation_name(vision.feed.activation).to_owned());
    if !labels.is_empty() {
        keys.own("labels", MetadataArray::strings(labels));
    }
    if let Some(preprocessor) = preprocessor(folder, vision)? {
        images(keys, &preprocessor);
    }
    Ok(())
}

fn images(keys: &mut Writer, preprocessor: &Preprocessor) {
    keys.set("clip.vision.image_mean", preprocessor.mean.as_slice());
    keys.set("clip.vision.image_std", preprocessor.std.as_slice());
    match preprocessor.resize {
        Some(Resize::Exact { height, width }) => keys.own("resize", &[height, width][..]),
        Some(Resize::ShortestEdge(edge)) => keys.own("resize_shortest_edge", edge),
        None => {}
    }
    if let Some(crop) = preprocessor.crop {
        keys.own("crop", &crop[..]);
    }
    keys.own("resample", preprocessor.resample.number());
    keys.own("rescale_factor", preprocessor.rescale);
}
