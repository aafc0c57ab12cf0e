use candle_core::D;
use edgeformer_core::graph::{Norm, NormKind};

use super::fused::{self, RmsNorm};
use super::places::Rows;
use crate::DeviceWeights;
use crate::error::Result;

/// Root-mean-square or layer normalisation of each group of columns.
pub(super) fn norm(norm: &Norm, weights: &DeviceWeights, rows: &Rows) -> Result<Rows> {
    let (count, width) = rows.x.dims2()?;
    let mut x = match norm.groups {
        1 => rows.x.clone(),
        groups => rows.x.reshape((count, groups, width / groups))?,
    };
    if let (NormKind::Rms, Some(weight), None) = (norm.kind, norm.weight, norm.bias)
        && fused::serves(&x)
    {
        let op = RmsNorm { eps: norm.eps, offset: norm.weight_offset };
        let made = x.contiguous()?.apply_op2(&weights.dense(weight)?.contiguous()?, op)?;
        return Ok(rows.with(made.reshape((count, width))?));
    }
    if norm.kind == NormKind::Layer {
        x = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    }
    let squares = x.sqr()?.mean_keepdim(D::Minus1)?;
    x = x.broadcast_div(&squares.affine(1.0, f64::from(norm.eps))?.sqrt()?)?;
    if let Some(weight) = norm.weight {
        let mut weight = weights.dense(weight)?;
        if norm.weight_offset != 0.0 {
            weight = weight.affine(1.0, f64::from(norm.weight_offset))?;
        }
        x = x.broadcast_mul(&weight)?;
    }
    if let Some(bias) = norm.bias {
        x = x.broadcast_add(&weights.dense(bias)?)?;
    }
    Ok(rows.with(x.reshape((count, width))?))
}
