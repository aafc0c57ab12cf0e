//! How an encoder's makers would have hidden states become one vector.

use std::path::Path;

use edgeformer_core::graph::Pool;

use crate::Result;
use crate::gguf::Metadata;
use crate::json::Object;

/// What `1_Pooling/config.json` of a sentence-transformers folder states.
pub(crate) fn of_folder(folder: &Path) -> Result<Option<Pool>> {
    let Some(config) = Object::read_optional(&folder.join("1_Pooling").join("config.json"))? else {
        return Ok(None);
    };
    if let Some(mode) = config.optional_text("pooling_mode")? {
        return match mode {
            "mean" => Ok(Some(Pool::Mean)),
            "cls" => Ok(Some(Pool::Class)),
            "max" => Ok(Some(Pool::Max)),
            "lasttoken" => Ok(Some(Pool::Last)),
            other => {
                let problem = format!("is {other:?}; known are mean, cls, max, lasttoken");
                Err(config.error("pooling_mode", problem))
            }
        };
    }
    for (key, pool) in [
        ("pooling_mode_cls_token", Pool::Class),
        ("pooling_mode_mean_tokens", Pool::Mean),
        ("pooling_mode_max_tokens", Pool::Max),
        ("pooling_mode_lasttoken", Pool::Last),
    ] {
        if config.flag_or(key, false)? {
            return Ok(Some(pool));
        }
    }
    Ok(None)
}

/// What a GGUF's `pooling_type` states, in llama.cpp's numbers.
pub(crate) fn of_gguf(metadata: &Metadata) -> Result<Option<Pool>> {
    let architecture = metadata.str("general.architecture")?.unwrap_or_default();
    match metadata.u32(&format!("{architecture}.pooling_type"))? {
        Some(1) => Ok(Some(Pool::Mean)),
        Some(2) => Ok(Some(Pool::Class)),
        Some(3) => Ok(Some(Pool::Last)),
        _ => Ok(None),
    }
}
