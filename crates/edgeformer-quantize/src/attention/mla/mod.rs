//! Ordinary attention into multi-head latent attention.
//!
//! Latent attention (DeepSeek-V2, arXiv 2405.04434) caches, for each token, one latent `c` that
//! keys and values of all heads are made of, and one rotated key `r` that all heads share. A model
//! with `K` key heads of width `D` becomes one in three steps; with `x` the layer's input:
//!
//! 1. **One rotated key for all heads.** For each of the `D/2` frequencies the keys of the heads
//!    are turned into components that rotate like them (module `components`; TransMLA, arXiv
//!    2502.07864). All `K·D/2` of them side by side are a shared key that loses nothing. Fewer
//!    are spread over the frequencies first, then chosen by what their rotation is worth over all
//!    layers: their energy, weighed with the queries', times `1 - |a|²`, where `a` is the
//!    rotation's mean over distances.
//! 2. **The other components lose their position**: `a` stands for their rotation, which is the
//!    constant nearest to it: about 1 for slow ones, less for fast ones.
//! 3. **A latent for the rest.** Keys without position and values, balanced, are factorised jointly
//!    (module `factor`), weighed with the second moments of the inputs, of the queries and with the
//!    output projection. At full rank this loses nothing.
//!
//! # What is exact, and where it runs
//!
//! DeepSeek normalises latents. A latent's norm depends on the token, so nothing that comes behind
//! undoes it. [`LatentNorm::Exact`] leaves `attn_kv_a_norm` out: this crate's neighbours read such
//! files, llama.cpp refuses them. [`LatentNorm::Portable`] keeps it and gives the latent a basis in
//! which its norm varies little: one that is orthonormal over the layer's input before the weights
//! of its norm, since that input's own norm is constant. A latent as wide as the model is exact
//! even so.
//!
//! A shared key with a frequency several times needs divisors of frequencies
//! (`rope_freqs.weight`), which llama.cpp does not apply to `deepseek2` (and so refuses the file).
//! [`LatentNorm::Portable`] therefore keeps one component of evenly spaced frequencies, whose
//! series needs none. The full conversion is exact and runs here; the portable ones are
//! approximations that run anywhere. The report says which is which.
//!
//! Biases: those of values move into the output's, for attention's weights add up to one; those
//! of keys without position change the scores of all keys alike and fall away; those of queries
//! and rotated keys stay.

mod factor;
mod layer;
mod metadata;
mod plan;

use edgeformer_core::Tensor;
use edgeformer_models::checkpoint::{Checkpoint, LazyTensor};

use super::AttentionCalibration;
use super::lazy::{Layers, Tensors, tensor};
use super::linear::Matrix;
use super::report::ConversionReport;
use super::source::{Source, blk};
use crate::{Error, Result};
use layer::Latent;
use plan::Plan;

/// How latent attention is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MlaOptions {
    /// Width of the latent; `None` for one that holds all of keys and values.
    pub rank: Option<usize>,
    /// Columns that keep their rotation; `None` for all where the rank is full and the norm exact,
    /// else for as many as one head has.
    pub rope_dims: Option<usize>,
    /// What becomes of the norm of latents.
    pub norm: LatentNorm,
    /// How errors are weighed.
    pub weighting: Weighting,
}

/// What becomes of the norm that DeepSeek's latents go through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LatentNorm {
    /// There is none: exact, and read by EdgeFormer alone.
    #[default]
    Exact,
    /// It stays, over a latent whose norm varies little, and rotary frequencies are the usual ones:
    /// an approximation that other runtimes run.
    Portable,
}

/// How errors of a factorisation are weighed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Weighting {
    /// By the second moments of inputs and queries and by the output projection.
    #[default]
    Inputs,
    /// All alike: the plain decomposition of the weights, for comparison.
    Plain,
}

/// Converts a model of ordinary attention to architecture `deepseek2`. What changes comes out in
/// f32, to be quantized afterwards; all else stays as it is.
///
/// # Errors
/// If the model's attention is not of the kind that can be converted (windows, norms of queries
/// and keys, experts, latents), or the options or the calibration do not fit it.
pub fn mla(
    checkpoint: &Checkpoint,
    options: &MlaOptions,
    calibration: Option<&AttentionCalibration>,
) -> Result<(Checkpoint, ConversionReport)> {
    let source = Source::of(checkpoint)?;
    refuse(&source)?;
    if let Some(calibration) = calibration {
        calibration.check(source.layers, source.width)?;
    }
    let plan = Plan::of(&source, options, calibration)?;
    let report = report(&source, &plan, options, calibration)?;
    let mut converted = metadata::rewrite(&source, &plan);
    converted.tensors = tensors(&source, &plan, options, calibration)?;
    Ok((converted, report))
}

fn refuse(source: &Source) -> Result<()> {
    let architecture = &source.architecture;
    let refuse = |why: &str| {
        Err(Error::Request(format!(
            "latent attention has no {why}, this {architecture} model does"
        )))
    };
    if source.has(0, "attn_q_norm.weight") || source.has(0, "attn_k_norm.weight") {
        return refuse("norms of queries and keys");
    }
    if !matches!(architecture.as_str(), "llama" | "qwen2") {
        let problem =
            "is converted to groups only: deepseek2 has no place for the rest of its layers";
        return Err(Error::Request(format!("architecture {architecture} {problem}")));
    }
    if source.has(0, "ffn_gate_inp.weight") {
        return refuse("experts without shared ones");
    }
    match source.window()? {
        Some(_) => refuse("sliding windows"),
        None => Ok(()),
    }
}

fn report(
    source: &Source,
    plan: &Plan,
    options: &MlaOptions,
    calibration: Option<&AttentionCalibration>,
) -> Result<ConversionReport> {
    let convert = |layer| Ok(layer::convert(source, plan, options, calibration, layer)?.report);
    let mut not_portable = Vec::new();
    if options.norm == LatentNorm::Exact {
        not_portable.push("latents are not normalised (attn_kv_a_norm is left out)".into());
    }
    if plan.divisors.is_some() {
        not_portable.push("rotary frequencies have divisors (rope_freqs)".into());
    }
    if has_bias(source, "attn_k.bias") || has_bias(source, "attn_q.bias") {
        not_portable.push("queries and shared keys have biases".into());
    }
    if has_bias(source, "attn_output.bias") || has_bias(source, "attn_v.bias") {
        not_portable.push("the output has a bias".into());
    }
    Ok(ConversionReport {
        layers: (0..source.layers).map(convert).collect::<Result<_>>()?,
        cached_before: source.layers * source.kv_heads * (source.key_dim + source.value_dim),
        cached_after: source.layers * (plan.rank + plan.rope_dims),
        not_portable,
    })
}

fn has_bias(source: &Source, name: &str) -> bool {
    source.has(0, name)
}

/// Every tensor of the result: those of attention in the place of the old ones.
fn tensors(
    source: &Source,
    plan: &Plan,
    options: &MlaOptions,
    calibration: Option<&AttentionCalibration>,
) -> Result<Vec<LazyTensor>> {
    let layers = {
        let (source, plan, options) = (source.clone(), plan.clone(), *options);
        let calibration = calibration.cloned();
        Layers::new(move |layer| {
            let latent = layer::convert(&source, &plan, &options, calibration.as_ref(), layer)?;
            made(&source, &plan, &options, layer, &latent)
        })
    };
    let mut tensors = Vec::new();
    if let Some(divisors) = &plan.divisors {
        let divisors = Tensor::from_f32([divisors.len()], divisors)?;
        tensors.push(LazyTensor::ready("rope_freqs.weight", divisors));
    }
    let shapes = shapes(source, plan, options);
    for old in source.checkpoint.tensors.iter().filter(|old| old.name() != "rope_freqs.weight") {
        let Some((layer, part)) = in_layer(old.name()) else {
            tensors.push(old.clone());
            continue;
        };
        if !REPLACED.contains(&part) {
            tensors.push(old.clone());
        }
        let new = shapes.iter().filter(|(_, place, _)| *place == part);
        tensors.extend(new.map(|(name, _, shape)| layers.tensor(layer, blk(layer, name), shape)));
    }
    Ok(tensors)
}

/// Tensors that are not in the result as they are.
const REPLACED: [&str; 7] = [
    "attn_q.weight",
    "attn_q.bias",
    "attn_k.weight",
    "attn_k.bias",
    "attn_v.weight",
    "attn_v.bias",
    "attn_output.bias",
];

/// The layer of a tensor and its name within it.
fn in_layer(name: &str) -> Option<(usize, &str)> {
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    Some((layer.parse().ok()?, part))
}

/// Name, the old tensor at whose place it stands, and shape of every new tensor of a layer.
fn shapes(
    source: &Source,
    plan: &Plan,
    options: &MlaOptions,
) -> Vec<(&'static str, &'static str, Vec<usize>)> {
    let (heads, width) = (source.heads, source.width);
    let q = heads * (plan.nope_dim + plan.rope_dims);
    let kv = plan.rank + plan.rope_dims;
    let mut shapes = vec![
        ("attn_q.weight", "attn_q.weight", vec![q, width]),
        ("attn_kv_a_mqa.weight", "attn_k.weight", vec![kv, width]),
        ("attn_k_b.weight", "attn_k.weight", vec![heads, plan.rank, plan.nope_dim]),
        ("attn_v_b.weight", "attn_v.weight", vec![heads, source.value_dim, plan.rank]),
    ];
    if options.norm == LatentNorm::Portable {
        shapes.push(("attn_kv_a_norm.weight", "attn_k.weight", vec![plan.rank]));
    }
    if has_bias(source, "attn_q.bias") {
        shapes.push(("attn_q.bias", "attn_q.weight", vec![q]));
    }
    if has_bias(source, "attn_k.bias") {
        shapes.push(("attn_kv_a_mqa.bias", "attn_k.weight", vec![kv]));
    }
    if has_bias(source, "attn_v.bias") || has_bias(source, "attn_output.bias") {
        shapes.push(("attn_output.bias", "attn_output.weight", vec![width]));
    }
    shapes
}

/// The tensors of a converted layer.
fn made(
    source: &Source,
    plan: &Plan,
    options: &MlaOptions,
    layer: usize,
    latent: &Latent,
) -> Result<Tensors> {
    let weights = |matrix: &Matrix| matrix.columns(0, source.width).into_owned();
    let bias = |matrix: &Matrix| matrix.columns(source.width, 1).into_owned();
    let mut tensors = Tensors::new();
    for (name, _, shape) in shapes(source, plan, options) {
        let matrix = match name {
            "attn_q.weight" => weights(&latent.q),
            "attn_q.bias" => bias(&latent.q),
            "attn_kv_a_mqa.weight" => weights(&latent.kv_a),
            "attn_kv_a_mqa.bias" => bias(&latent.kv_a),
            "attn_k_b.weight" => latent.k_b.clone(),
            "attn_v_b.weight" => latent.v_b.clone(),
            "attn_kv_a_norm.weight" => Matrix::repeat(plan.rank, 1, 1.0),
            _ => output_bias(source, layer, &latent.o_bias)?,
        };
        tensors.insert(blk(layer, name), tensor(&matrix, &shape)?);
    }
    Ok(tensors)
}

fn output_bias(source: &Source, layer: usize, of_values: &Matrix) -> Result<Matrix> {
    let mut bias = of_values.clone();
    for (sum, own) in
        bias.iter_mut().zip(source.vector(layer, "attn_output.bias")?.unwrap_or_default())
    {
        *sum += own;
    }
    Ok(bias)
}
