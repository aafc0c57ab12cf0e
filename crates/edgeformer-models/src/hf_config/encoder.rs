//! `config.json` of encoders: BERT and ViT.

use edgeformer_core::graph::Activation;
use serde_json::Value;

use super::classes;
use super::decoder::{activation, head_width, layers};
use crate::Result;
use crate::hyper::{Encoder, Feed, Vision};
use crate::json::Object;

pub(super) fn bert(config: &Object) -> Result<Encoder> {
    if config.flag_or("is_decoder", false)? {
        return Err(config.error("is_decoder", "is true, but BERT is read as an encoder only"));
    }
    match config.optional_text("position_embedding_type")? {
        None | Some("absolute") => {}
        Some(other) => {
            let problem = format!("is {other:?}, but only absolute positions are read");
            return Err(config.error("position_embedding_type", problem));
        }
    }
    let (width, heads) = widths(config)?;
    Ok(Encoder {
        vocabulary: config.size("vocab_size")?,
        context: config.size("max_position_embeddings")?,
        width,
        layers: layers(config, "num_hidden_layers")?,
        heads,
        feed: feed(config)?,
        segments: config.size_or("type_vocab_size", 2)?,
        norm_eps: config.positive_or("layer_norm_eps", 1e-12)?,
        classes: classes::of_texts(config)?,
    })
}

pub(super) fn vit(config: &Object) -> Result<Vision> {
    let (width, heads) = widths(config)?;
    Ok(Vision {
        channels: config.size_or("num_channels", 3)?,
        image: pair(config, "image_size", 224)?,
        patch: pair(config, "patch_size", 16)?,
        width,
        layers: layers(config, "num_hidden_layers")?,
        heads,
        feed: feed(config)?,
        input_bias: config.flag_or("qkv_bias", true)?,
        norm_eps: config.positive_or("layer_norm_eps", 1e-12)?,
        classes: classes::of_images(config)?,
    })
}

fn widths(config: &Object) -> Result<(usize, usize)> {
    let (width, heads) = (config.size("hidden_size")?, config.size("num_attention_heads")?);
    head_width(config, "num_attention_heads", heads, width)?;
    Ok((width, heads))
}

fn feed(config: &Object) -> Result<Feed> {
    let activation = activation(config, "hidden_act", Activation::Gelu)?;
    Ok(Feed { width: config.size("intermediate_size")?, activation, bias: true })
}

/// Height and width, stated as one number for squares.
fn pair(config: &Object, key: &str, default: usize) -> Result<[usize; 2]> {
    let Some(Value::Array(list)) = config.value(key) else {
        return Ok([config.size_or(key, default)?; 2]);
    };
    let size = |value: &Value| value.as_u64().filter(|size| (1..=1 << 20).contains(size));
    let sizes = match list.as_slice() {
        [height, width] => size(height).zip(size(width)),
        _ => None,
    };
    let (height, width) =
        sizes.ok_or_else(|| config.error(key, "must be a size or a list of height and width"))?;
    Ok([height as usize, width as usize])
}
