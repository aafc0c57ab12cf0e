use serde::Serialize;

/// What a conversion kept. It measures nothing: shares of energy come from the weights, and from
/// the calibration where there is one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConversionReport {
    /// Layer by layer.
    pub layers: Vec<LayerReport>,
    /// Numbers that a token leaves in the cache, over all layers, before.
    pub cached_before: usize,
    /// The same after.
    pub cached_after: usize,
    /// Why other runtimes do not run the result; empty where llama.cpp does.
    pub not_portable: Vec<String>,
}

/// What a conversion kept of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LayerReport {
    /// Which.
    pub layer: usize,
    /// The share of the keys' energy that is left, as queries see it: 1 is all of it.
    pub keys: f64,
    /// The share of the values' energy that is left, as the output sees it.
    pub values: f64,
}

impl ConversionReport {
    /// Bytes of cache that a token took and takes, at two bytes a number.
    pub fn cache_bytes(&self) -> [usize; 2] {
        [2 * self.cached_before, 2 * self.cached_after]
    }
}
