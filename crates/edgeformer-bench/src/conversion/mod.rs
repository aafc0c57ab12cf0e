//! Attention converted to a smaller cache: perplexity against bytes of cache a token, with each
//! conversion's plain form beside it.
//!
//! - `sizes`: which ranks, columns and groups a model is converted to
//! - `run`: every conversion, written, run and measured on text that it was not calibrated with
//! - `report`: the figures, with `findings` on who won and `chart` to show them

mod chart;
mod findings;
mod report;
mod run;
mod sizes;

pub use edgeformer::attention_conversion::ConversionTexts;
pub use report::{ConversionCurves, GroupPoint, LatentPoint, ModelCurve};
pub use run::{ConversionBench, ConvertedModel};
