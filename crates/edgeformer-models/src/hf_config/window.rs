//! Which layers see a sliding window: stated layer by layer, or by a family's rule.

use crate::Result;
use crate::json::Object;

type Windows = Vec<Option<usize>>;

/// Every layer, if there is a window at all (Mistral, Phi-3).
pub(super) fn in_all_layers(config: &Object, layers: usize) -> Result<Windows> {
    let window = config.optional_size("sliding_window")?;
    by_rule(config, layers, window, |_| true)
}

/// Layers from `max_window_layers` on, if windows are in use (Qwen).
pub(super) fn in_late_layers(config: &Object, layers: usize) -> Result<Windows> {
    if !config.flag_or("use_sliding_window", false)? {
        return Ok(vec![None; layers]);
    }
    let first = config.optional_count("max_window_layers")?.unwrap_or(28);
    let window = config.optional_size("sliding_window")?;
    by_rule(config, layers, window, |layer| layer >= first)
}

/// All but every `sliding_window_pattern`th layer (Gemma).
pub(super) fn by_pattern(config: &Object, layers: usize) -> Result<Windows> {
    let pattern = config.size("sliding_window_pattern")?;
    let window = config.optional_size("sliding_window")?;
    by_rule(config, layers, window, |layer| !(layer + 1).is_multiple_of(pattern))
}

/// `layer_types` where the file states them, the rule where it does not.
fn by_rule(
    config: &Object,
    layers: usize,
    window: Option<usize>,
    sliding: impl Fn(usize) -> bool,
) -> Result<Windows> {
    let types = config.texts("layer_types")?;
    if types.is_empty() {
        return Ok((0..layers).map(|layer| window.filter(|_| sliding(layer))).collect());
    }
    if types.len() != layers {
        let problem = format!("names {} layers, the model has {layers}", types.len());
        return Err(config.error("layer_types", problem));
    }
    let of_type = |kind: &&str| match *kind {
        "full_attention" => Ok(None),
        "sliding_attention" => Ok(window),
        other => Err(config.error(
            "layer_types",
            format!("has {other:?}; known are full_attention and sliding_attention"),
        )),
    };
    types.iter().map(of_type).collect()
}
