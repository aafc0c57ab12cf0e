//! Conversion of ordinary attention into attention with a small cache, without training.
//!
//! | function | what the result caches for each token and layer |
//! |---|---|
//! | [`gqa`] | keys and values of fewer heads |
//! | [`mla`] | one latent and one rotated key for all heads |
//!
//! A conversion is a function from a [`Checkpoint`](edgeformer_models::checkpoint::Checkpoint) to
//! another, whose tensors are made when they are asked for. At full size it changes no logit; below,
//! quality falls, which [`ConversionReport`] estimates and perplexity measures. An
//! [`AttentionCalibration`], which an [`AttentionCollector`] records, makes it fall less.

mod calibration;
mod collect;
mod components;
mod gqa;
mod lazy;
mod linear;
mod mla;
mod report;
mod source;

pub use calibration::AttentionCalibration;
pub use collect::AttentionCollector;
pub use gqa::{Align, GqaOptions, gqa};
pub use mla::{LatentNorm, MlaOptions, Weighting, mla};
pub use report::{ConversionReport, LayerReport};
