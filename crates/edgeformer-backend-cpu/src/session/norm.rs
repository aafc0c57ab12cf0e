//! Norms of rows, and of groups of columns.

use edgeformer_core::Rows;
use edgeformer_core::graph::{NormKind, Value};

use super::elementwise::{CHUNK, WORTH_SHARING};
use super::linear::QUANTIZED_ROWS;
use super::run::Executor;
use super::scratch::Quantized;
use crate::kernels::{Affine, Kernels};
use crate::pool::Pool;
use crate::program::RowNorm;

impl Executor<'_> {
    pub(super) fn norm(&mut self, norm: &RowNorm, input: Value, output: Value) {
        let (pool, kernels) = (self.pool, self.kernels);
        let mut lent = self.memory.take(output);
        let x = self.memory.read(input);
        if norm.quantize {
            let quantized = &mut self.scratch.quantized;
            norm_and_quantize(pool, kernels, norm, x, lent.data(), quantized);
            quantized.of = Some(output);
        } else {
            norm_groups(pool, kernels, norm, x, lent.data());
        }
        self.memory.put_back(output, lent);
    }
}

fn norm_groups(pool: &Pool, kernels: &Kernels, norm: &RowNorm, x: Rows<'_>, out: &mut [f32]) {
    let width = x.width() / norm.spec.groups;
    let chunk = (CHUNK / width).max(1) * width;
    let worthwhile = out.len() >= WORTH_SHARING;
    let parts = out.chunks_mut(chunk).zip(x.data().chunks(chunk));
    pool.for_each_if(worthwhile, parts, |_, (out, x)| norm_rows(kernels, norm, x, out, width));
}

/// Rows as they leave the norm, and in 8 bits while they are still in the cache.
fn norm_and_quantize(
    pool: &Pool,
    kernels: &Kernels,
    norm: &RowNorm,
    x: Rows<'_>,
    out: &mut [f32],
    quantized: &mut Quantized,
) {
    let width = x.width();
    let worthwhile = out.len() >= WORTH_SHARING && x.len() > QUANTIZED_ROWS;
    let chunk = QUANTIZED_ROWS * width;
    let rows = out.chunks_mut(chunk).zip(x.data().chunks(chunk));
    let parts = rows.zip(quantized.buffer.reset(x.len(), width).chunks(QUANTIZED_ROWS));
    pool.for_each_if(worthwhile, parts, |_, ((out, x), quantized)| {
        norm_rows(kernels, norm, x, out, width);
        quantized.quantize(kernels, Rows::new(out, width));
    });
}

/// Normalises groups of `width` elements.
fn norm_rows(kernels: &Kernels, norm: &RowNorm, x: &[f32], out: &mut [f32], width: usize) {
    let RowNorm { spec, weight, bias, .. } = norm;
    let affine =
        Affine { weight: weight.as_deref(), bias: bias.as_deref(), offset: spec.weight_offset };
    for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        match spec.kind {
            NormKind::Rms => kernels.rms_norm(x, &affine, spec.eps, out),
            NormKind::Layer => kernels.layer_norm(x, &affine, spec.eps, out),
        }
    }
}
