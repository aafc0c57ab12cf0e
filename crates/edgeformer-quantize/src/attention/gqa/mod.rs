//! Fewer key-value heads.
//!
//! Grouped-query attention (arXiv 2305.13245) lets the query heads of a group share one head of
//! keys and values, made of the group's by averaging. Heads that were trained apart use their
//! columns differently, so an average of them as they are destroys much; but a head may be turned
//! before, and what it meets turned back, without any change (arXiv 2412.20677):
//!
//! - values by any invertible `R`: `W_v → R W_v`, and `W_o → W_o R⁻¹` in the columns of its query
//!   heads;
//! - keys by what commutes with their rotation: in each rotary pair a complex factor, in columns
//!   without rotation any invertible matrix; queries by the inverse of the adjoint.
//!
//! [`Align::Procrustes`] takes rotations, those that bring the heads of a group closest to their
//! mean (Schönemann 1966; for a pair the phase of the inner product), and repeats until the mean
//! settles. [`Align::Principal`] takes any matrices: the shared head is then that of least error,
//! the first principal components of all the group's rows, as in latent attention.
//!
//! Distances are those of what heads make of inputs: with a calibration, `‖W x‖` over its text.
//! Which heads share is chosen by how little the best rotation leaves between them; heads change
//! places together with their queries and outputs, which is exact too.
//!
//! Norms of queries and keys (Qwen3, Gemma 3) come between: keys of such models are averaged as
//! they are, and values aligned.

mod align;
mod cluster;
mod group;

use edgeformer_models::checkpoint::{Checkpoint, LazyTensor};

use super::AttentionCalibration;
use super::lazy::{Layers, Tensors, tensor};
use super::linear::Matrix;
use super::report::ConversionReport;
use super::source::{Source, blk};
use crate::{Error, Result};
use group::Grouped;

/// How key-value heads become fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GqaOptions {
    /// Key-value heads of the result; they divide the model's.
    pub groups: usize,
    /// How heads are made alike before they become one.
    pub align: Align,
}

/// How heads are made alike before they become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Align {
    /// Not at all: neighbours are averaged, for comparison.
    Plain,
    /// Turned towards their mean.
    Procrustes,
    /// Projected onto what they have most of in common.
    #[default]
    Principal,
}

/// Converts a model to `options.groups` key-value heads. What changes comes out in f32, to be
/// quantized afterwards; all else stays as it is.
///
/// # Errors
/// If the groups do not divide the model's key-value heads, its attention is not of four
/// projections, or the calibration is of another model.
pub fn gqa(
    checkpoint: &Checkpoint,
    options: &GqaOptions,
    calibration: Option<&AttentionCalibration>,
) -> Result<(Checkpoint, ConversionReport)> {
    let source = Source::of(checkpoint)?;
    let (groups, heads) = (options.groups, source.kv_heads);
    if groups == 0 || !heads.is_multiple_of(groups) {
        return Err(Error::Request(format!(
            "{groups} groups do not divide {heads} key-value heads"
        )));
    }
    if let Some(calibration) = calibration {
        calibration.check(source.layers, source.width)?;
    }
    let report = report(&source, options, calibration)?;
    let mut converted = checkpoint.clone();
    if groups < heads {
        converted.set(&format!("{}.attention.head_count_kv", source.architecture), groups as u32);
        converted.tensors = tensors(&source, options, calibration);
    }
    Ok((converted, report))
}

fn report(
    source: &Source,
    options: &GqaOptions,
    calibration: Option<&AttentionCalibration>,
) -> Result<ConversionReport> {
    let convert = |layer| Ok(group::convert(source, options, calibration, layer)?.report);
    let cached = |heads: usize| source.layers * heads * (source.key_dim + source.value_dim);
    Ok(ConversionReport {
        layers: (0..source.layers).map(convert).collect::<Result<_>>()?,
        cached_before: cached(source.kv_heads),
        cached_after: cached(options.groups),
        not_portable: Vec::new(),
    })
}

fn tensors(
    source: &Source,
    options: &GqaOptions,
    calibration: Option<&AttentionCalibration>,
) -> Vec<LazyTensor> {
    let layers = {
        let (source, options, calibration) = (source.clone(), *options, calibration.cloned());
        Layers::new(move |layer| {
            let grouped = group::convert(&source, &options, calibration.as_ref(), layer)?;
            made(&source, layer, &grouped)
        })
    };
    let replace = |old: &LazyTensor| match replaced(old.name()) {
        None => old.clone(),
        Some((layer, part)) => {
            let mut shape = old.shape().to_vec();
            if part.starts_with("attn_k.") || part.starts_with("attn_v.") {
                shape[0] = shape[0] / source.kv_heads * options.groups;
            }
            layers.tensor(layer, old.name().to_owned(), &shape)
        }
    };
    source.checkpoint.tensors.iter().map(replace).collect()
}

/// The layer and the name within it of a tensor that changes.
fn replaced(name: &str) -> Option<(usize, &str)> {
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let projection = ["attn_q.", "attn_k.", "attn_v."].iter().any(|start| part.starts_with(start));
    (projection || part == "attn_output.weight").then_some(())?;
    Some((layer.parse().ok()?, part))
}

fn made(source: &Source, layer: usize, grouped: &Grouped) -> Result<Tensors> {
    let mut tensors = Tensors::new();
    let mut insert = |name: &str, matrix: &Matrix, shape: &[usize]| {
        Ok::<_, Error>(tensors.insert(blk(layer, name), tensor(matrix, shape)?))
    };
    for (name, both) in [("attn_q", &grouped.q), ("attn_k", &grouped.k), ("attn_v", &grouped.v)] {
        let (rows, width) = (both.nrows(), source.width);
        insert(&format!("{name}.weight"), &both.columns(0, width).into_owned(), &[rows, width])?;
        insert(&format!("{name}.bias"), &both.columns(width, 1).into_owned(), &[rows])?;
    }
    let (rows, columns) = grouped.o.shape();
    insert("attn_output.weight", &grouped.o, &[rows, columns])?;
    Ok(tensors)
}
