//! Attention converted to a smaller cache, calibrated and judged: what
//! [`edgeformer_quantize::attention`] needs a running model for.
//!
//! - `conversion`: which conversion, as one value
//! - `record`: what goes into attention while a model reads a text
//! - `judge`: perplexity before and after, on text that nothing was calibrated with

mod conversion;
mod judge;
mod record;

pub use conversion::Conversion;
pub use edgeformer_quantize::attention::{
    Align, AttentionCalibration, ConversionReport, GqaOptions, LatentNorm, LayerReport, MlaOptions,
    Weighting,
};
pub use judge::{ConversionTexts, Cost, Judge};
pub use record::record;
