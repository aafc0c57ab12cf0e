//! The table: pairs of a layer, by the names that are there.

use edgeformer_models::checkpoint::Checkpoint;

use super::shape::{Heads, heads};
use super::{Foldable, Kind, Reader, Rows, Source};
use crate::transform::edit::{columns, matrices, need, rows};
use crate::{Error, Result};

/// A norm of a block and all that may read it; a layer has some of them.
struct Norm {
    name: &'static str,
    residual: bool,
    readers: &'static [&'static str],
}

const ATTENTION: &[&str] = &["attn_q", "attn_k", "attn_v", "attn_qkv", "attn_q_a", "attn_kv_a_mqa"];

const FEED: &[&str] = &[
    "ffn_gate",
    "ffn_up",
    "ffn_gate_inp",
    "ffn_gate_exps",
    "ffn_up_exps",
    "ffn_gate_shexp",
    "ffn_up_shexp",
];

const NORMS: &[Norm] = &[
    Norm { name: "attn_norm", residual: true, readers: ATTENTION },
    Norm { name: "ln1", residual: true, readers: ATTENTION },
    Norm { name: "ffn_norm", residual: true, readers: FEED },
    Norm { name: "ln2", residual: true, readers: FEED },
    Norm { name: "attn_q_a_norm", residual: false, readers: &["attn_q_b"] },
    Norm { name: "attn_kv_a_norm", residual: false, readers: &["attn_kv_b"] },
];

/// Gated networks: the product is linear in the up-projection.
const PRODUCTS: &[[&str; 3]] = &[
    ["ffn_gate", "ffn_up", "ffn_down"],
    ["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"],
    ["ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"],
];

/// Norms whose every reader is a matrix.
pub(super) fn norms(checkpoint: &Checkpoint, prefix: &str) -> Result<Vec<Foldable>> {
    let name = |part: &str| format!("{prefix}{part}.weight");
    // Transposed keys have the latent in their rows: that norm stays as it is.
    let transposed = checkpoint.tensor(&name("attn_k_b")).is_some();
    let mut found = Vec::new();
    for norm in NORMS {
        let weight = name(norm.name);
        let left_out = transposed && norm.name == "attn_kv_a_norm";
        if left_out || checkpoint.tensor(&weight).is_none() {
            continue;
        }
        let readers = norm.readers.iter().map(|part| name(part)).collect();
        found.extend(norm_pair(checkpoint, weight, norm.residual, readers)?);
    }
    Ok(found)
}

/// The last norm, unless its reader is the embedding table: logits or classes are read from it.
pub(super) fn head(checkpoint: &Checkpoint) -> Result<Option<Foldable>> {
    let (norm, heads) = ("output_norm.weight", ["output.weight", "cls.output.weight"]);
    if checkpoint.tensor(norm).is_none() {
        return Ok(None);
    }
    norm_pair(checkpoint, norm.into(), true, heads.map(String::from).into())
}

/// A norm and those of its readers that are there.
fn norm_pair(
    checkpoint: &Checkpoint,
    weight: String,
    residual: bool,
    mut readers: Vec<String>,
) -> Result<Option<Foldable>> {
    let channels = need(checkpoint, &weight)?.elements();
    readers.retain(|reader| checkpoint.tensor(reader).is_some());
    if readers.is_empty() {
        return Ok(None);
    }
    for reader in &readers {
        let found = columns(need(checkpoint, reader)?);
        fits(reader, found == channels, || format!("{found} columns, {weight} has {channels}"))?;
    }
    let readers = readers.into_iter().map(|reader| Reader::plain(reader, channels)).collect();
    let bias = bias(checkpoint, &weight);
    Ok(Some(Foldable { source: Source::Norm { weight, bias, residual }, readers, channels }))
}

/// Values and the output projection. All query heads of a group share the channels of their value
/// head.
pub(super) fn values(checkpoint: &Checkpoint, prefix: &str) -> Result<Option<Foldable>> {
    let name = |part: &str| format!("{prefix}{part}.weight");
    let there = |part: &str| checkpoint.tensor(&name(part)).is_some();
    let Some(output) = ["attn_output", "attn_out"].into_iter().find(|part| there(part)) else {
        return Ok(None);
    };
    let output = name(output);
    let Heads { heads, kv_heads } = heads(checkpoint)?;
    let wide = columns(need(checkpoint, &output)?);
    fits(&output, wide.is_multiple_of(heads), || format!("{wide} columns for {heads} heads"))?;
    let head = wide / heads;

    let (source, kv_heads) = match ["attn_v", "attn_qkv", "attn_kv_b", "attn_v_b"].map(there) {
        [true, ..] => (run(checkpoint, name("attn_v"), 0, kv_heads * head)?, kv_heads),
        [_, true, ..] => (last(checkpoint, name("attn_qkv"), kv_heads * head)?, kv_heads),
        // Files may hold latents' up-projections twice; then both would have to change.
        [.., true, true] => return Ok(None),
        [.., true, _] => (behind_keys(checkpoint, name("attn_kv_b"), heads, head)?, heads),
        [.., true] => (run(checkpoint, name("attn_v_b"), 0, wide)?, heads),
        _ => return Ok(None),
    };
    let reader = Reader { weight: output, head, group: heads / kv_heads, per_matrix: false };
    let channels = kv_heads * head;
    Ok(Some(Foldable { source: Source::Rows(source), readers: vec![reader], channels }))
}

/// Up- and down-projections of gated networks, experts each for themselves.
pub(super) fn products(checkpoint: &Checkpoint, prefix: &str, kind: Kind) -> Result<Vec<Foldable>> {
    let mut found = Vec::new();
    for parts in PRODUCTS {
        let [gate, up, down] = parts.map(|part| format!("{prefix}{part}.weight"));
        let gated = checkpoint.tensor(&gate).is_some() || kind == Kind::FusedGate;
        let Some(tensor) = checkpoint.tensor(&down).filter(|_| gated) else { continue };
        let channels = columns(tensor) * matrices(tensor);
        let source = match kind {
            Kind::FusedGate => last(checkpoint, up, channels)?,
            _ => run(checkpoint, up, 0, channels)?,
        };
        let per_matrix = tensor.shape().len() > 2;
        let reader = Reader { per_matrix, ..Reader::plain(down, columns(tensor)) };
        found.push(Foldable { source: Source::Rows(source), readers: vec![reader], channels });
    }
    Ok(found)
}

/// One run of rows that reaches the matrix's end.
fn run(checkpoint: &Checkpoint, weight: String, first: usize, run: usize) -> Result<Rows> {
    let found = rows(need(checkpoint, &weight)?);
    let expected = first + run;
    fits(&weight, found == expected, || format!("{found} rows, the metadata make it {expected}"))?;
    let bias = bias(checkpoint, &weight);
    Ok(Rows { weight, bias, first, run, stride: expected })
}

/// The last rows of a fused matrix.
fn last(checkpoint: &Checkpoint, weight: String, count: usize) -> Result<Rows> {
    let all = rows(need(checkpoint, &weight)?);
    fits(&weight, all > count, || format!("{all} rows, {count} of them would be the last"))?;
    run(checkpoint, weight, all - count, count)
}

/// Rows of values behind those of keys, head by head.
fn behind_keys(checkpoint: &Checkpoint, weight: String, heads: usize, head: usize) -> Result<Rows> {
    let all = rows(need(checkpoint, &weight)?);
    let stride = all / heads;
    let whole = all.is_multiple_of(heads) && stride > head;
    fits(&weight, whole, || format!("{all} rows for {heads} heads with values of {head}"))?;
    let bias = bias(checkpoint, &weight);
    Ok(Rows { weight, bias, first: stride - head, run: head, stride })
}

fn bias(checkpoint: &Checkpoint, weight: &str) -> Option<String> {
    let bias = format!("{}.bias", weight.strip_suffix(".weight")?);
    checkpoint.tensor(&bias).map(|tensor| tensor.name().to_owned())
}

fn fits(name: &str, fits: bool, problem: impl FnOnce() -> String) -> Result<()> {
    if fits {
        return Ok(());
    }
    Err(Error::tensor(name, format!("has {}: convert the model again", problem())))
}
