//! Products of float weights with f32 activations.

use edgeformer_core::Rows;
use half::{bf16, f16};

use super::super::ColumnsMut;
use super::lanes::{self, Lanes};

/// Tokens that share a decoded weight.
const TOKENS: usize = 4;

pub(super) fn matmul_f32(weights: &[u8], columns: usize, x: Rows<'_>, out: &mut ColumnsMut<'_>) {
    matmul(weights, columns, x, out, f32::from_le_bytes);
}

pub(super) fn matmul_f16(weights: &[u8], columns: usize, x: Rows<'_>, out: &mut ColumnsMut<'_>) {
    matmul(weights, columns, x, out, |bytes| f16::from_le_bytes(bytes).to_f32());
}

pub(super) fn matmul_bf16(weights: &[u8], columns: usize, x: Rows<'_>, out: &mut ColumnsMut<'_>) {
    matmul(weights, columns, x, out, |bytes| bf16::from_le_bytes(bytes).to_f32());
}

/// `out[t][r]` is the dot product in the order of [`lanes`].
fn matmul<const BYTES: usize>(
    weights: &[u8],
    columns: usize,
    x: Rows<'_>,
    out: &mut ColumnsMut<'_>,
    decode: impl Fn([u8; BYTES]) -> f32,
) {
    let (weights, _) = weights.as_chunks::<BYTES>();
    for (row, weights) in weights.chunks_exact(columns).enumerate() {
        for first in (0..x.len()).step_by(TOKENS) {
            let tokens = first..x.len().min(first + TOKENS);
            let mut sums = [Lanes::default(); TOKENS];
            for (index, weights) in weights.chunks(8).enumerate() {
                let mut decoded = [0.0; 8];
                decoded.iter_mut().zip(weights).for_each(|(to, &bytes)| *to = decode(bytes));
                for (sums, token) in sums.iter_mut().zip(tokens.clone()) {
                    let x = &x.row(token)[8 * index..][..weights.len()];
                    for ((sum, w), x) in sums.iter_mut().zip(decoded).zip(x) {
                        *sum += w * x;
                    }
                }
            }
            for (sums, token) in sums.iter().zip(tokens) {
                out.set(token, row, lanes::reduce(sums));
            }
        }
    }
}
