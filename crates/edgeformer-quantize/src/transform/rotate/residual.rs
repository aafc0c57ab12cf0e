//! R1: the residual stream.

use std::sync::Arc;

use edgeformer_models::checkpoint::{Checkpoint, LazyTensor};

use super::{Rotation, rotation};
use crate::transform::edit::{columns, edit, matrices, need};
use crate::transform::fold::{Foldable, Source, foldables};
use crate::{Error, Result};

const TABLE: &str = "token_embd.weight";
const HEAD: &str = "output.weight";

/// Parts of a block that write the stream.
const WRITERS: &[&str] = &["attn_output", "ffn_down", "ffn_down_exps", "ffn_down_shexp"];

/// Parts whose norms read the stream: all of them must be moved into matrices.
const NORMS: &[&str] = &["attn_norm.weight", "ffn_norm.weight", "output_norm.weight"];

/// Gives a model whose head is the embedding table a head of its own; the elements by which it
/// grows.
pub(super) fn untie(checkpoint: &mut Checkpoint) -> Result<usize> {
    if checkpoint.has_head() {
        return Ok(0);
    }
    let table = need(checkpoint, TABLE)?.clone();
    let (format, shape) = (table.format(), table.shape().to_vec());
    let added = table.elements();
    checkpoint.tensors.push(LazyTensor::new(HEAD, format, shape, move || table.load()));
    Ok(added)
}

/// Rotates the stream of a model with a head of its own.
pub(super) fn rotate(checkpoint: &mut Checkpoint, seed: u64) -> Result<()> {
    let pairs = residual_pairs(checkpoint)?;
    let stream = rotation(columns(need(checkpoint, TABLE)?), seed);
    for (norm, pair) in &pairs {
        let fits = pair.channels == stream.width();
        if !fits {
            let problem = format!("has {} channels, {TABLE} {}", pair.channels, stream.width());
            return Err(Error::tensor(norm, format!("{problem}: convert the model again")));
        }
        move_norm(checkpoint, norm, pair, &stream)?;
    }
    rotate_rows(checkpoint, TABLE, &stream)?;
    rotate_writers(checkpoint, &stream)
}

/// Every norm of the stream with the matrices that read it.
fn residual_pairs(checkpoint: &Checkpoint) -> Result<Vec<(String, Foldable)>> {
    let norm = |pair: Foldable| match &pair.source {
        Source::Norm { weight, bias: None, residual: true } => Some((weight.clone(), pair)),
        _ => None,
    };
    let pairs: Vec<_> = foldables(checkpoint)?.into_iter().filter_map(norm).collect();
    let names = checkpoint.tensors.iter().map(LazyTensor::name);
    let mut norms = names.filter(|name| NORMS.iter().any(|ending| name.ends_with(ending)));
    match norms.find(|name| !pairs.iter().any(|(known, _)| known == name)) {
        None => Ok(pairs),
        Some(name) => Err(Error::tensor(
            name,
            "its weight cannot be moved into what reads it: quantize the model without rotation",
        )),
    }
}

/// Moves a norm's weight into its readers, which then read a rotated stream.
fn move_norm(
    checkpoint: &mut Checkpoint,
    norm: &str,
    pair: &Foldable,
    stream: &Arc<Rotation>,
) -> Result<()> {
    let weight = need(checkpoint, norm)?.clone();
    for reader in &pair.readers {
        let (weight, stream) = (weight.clone(), stream.clone());
        edit(checkpoint, &reader.weight, move |values| {
            let weight = weight.load()?.to_f32();
            for row in values.chunks_exact_mut(weight.len()) {
                row.iter_mut().zip(&weight).for_each(|(value, weight)| *value *= weight);
            }
            stream.rows(values);
            Ok(())
        })?;
    }
    edit(checkpoint, norm, |values| {
        values.fill(1.0);
        Ok(())
    })
}

/// Makes everything that adds to the stream add rotated rows.
fn rotate_writers(checkpoint: &mut Checkpoint, stream: &Arc<Rotation>) -> Result<()> {
    let names: Vec<String> =
        checkpoint.tensors.iter().map(|tensor| tensor.name().to_owned()).collect();
    for name in names {
        let Some((_, part)) = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'))
        else {
            continue;
        };
        match part.rsplit_once('.') {
            Some((part, "bias")) if WRITERS.contains(&part) => {
                rotate_rows(checkpoint, &name, stream)?;
            }
            Some((part, "weight")) if WRITERS.contains(&part) => {
                rotate_columns(checkpoint, &name, stream)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn rotate_rows(checkpoint: &mut Checkpoint, name: &str, stream: &Arc<Rotation>) -> Result<()> {
    let stream = stream.clone();
    edit(checkpoint, name, move |values| {
        stream.rows(values);
        Ok(())
    })
}

fn rotate_columns(checkpoint: &mut Checkpoint, name: &str, stream: &Arc<Rotation>) -> Result<()> {
    let tensor = need(checkpoint, name)?;
    let columns = columns(tensor);
    let matrix_len = tensor.elements() / matrices(tensor).max(1);
    if matrix_len != stream.width() * columns {
        let problem =
            format!("writes {} channels, {TABLE} has {}", matrix_len / columns, stream.width());
        return Err(Error::tensor(name, format!("{problem}: convert the model again")));
    }
    let stream = stream.clone();
    edit(checkpoint, name, move |values| {
        values.chunks_exact_mut(matrix_len).for_each(|matrix| stream.columns(matrix, columns));
        Ok(())
    })
}
