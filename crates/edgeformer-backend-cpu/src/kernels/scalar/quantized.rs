//! Products of quantized weights with 8-bit activations.

use edgeformer_core::quant::{Block, Group};

use super::super::q8::{BLOCK, Q8Row, Q8RowMut};
use super::super::{ColumnsMut, Q8Rows};

/// `out[t][r]` is the sum over the activation blocks, in order, of [`product`].
pub(super) fn matmul<B, const LEN: usize, const BYTES: usize, const GROUPS: usize>(
    weights: &[u8],
    columns: usize,
    activations: Q8Rows<'_>,
    out: &mut ColumnsMut<'_>,
) where
    B: Block<LEN, BYTES, GROUPS>,
{
    let (blocks, _) = weights.as_chunks::<BYTES>();
    for (row, blocks) in blocks.chunks_exact(columns / LEN).enumerate() {
        (0..out.rows()).for_each(|token| out.set(token, row, 0.0));
        for (index, block) in blocks.iter().enumerate() {
            let (codes, groups) = (B::codes(block), B::groups(block));
            for token in 0..out.rows() {
                let x = activations.row(token);
                for (part, codes) in codes.as_chunks().0.iter().enumerate() {
                    let group = |half| groups[(2 * part + half) * 16 * GROUPS / LEN];
                    let product =
                        product(codes, [group(0), group(1)], x, index * LEN / BLOCK + part);
                    out.row_mut(token)[row] += product;
                }
            }
        }
    }
}

/// 32 weights, in two groups of 16, times block `index` of an activation row. The products of
/// codes are integers: at most 32 * 128 * 127 in sum, far from overflow, and exact as f32.
fn product(weights: &[i8; BLOCK], groups: [Group; 2], x: Q8Row<'_>, index: usize) -> f32 {
    let x_codes = &x.codes[index * BLOCK..][..BLOCK];
    let dot = |half: usize| -> f32 {
        let elements = 16 * half..16 * half + 16;
        let pairs = weights[elements.clone()].iter().zip(&x_codes[elements]);
        pairs.map(|(&w, &x)| i32::from(w) * i32::from(x)).sum::<i32>() as f32
    };
    let scaled = groups[0].scale * dot(0) + groups[1].scale * dot(1);
    let minima = groups[0].min * x.low_sums[index] + groups[1].min * x.high_sums[index];
    x.scales[index] * scaled - minima
}

/// A row of activations to 8 bits; see [`Q8Rows`] for what the numbers mean.
pub(super) fn quantize_row(values: &[f32], out: Q8RowMut<'_>) {
    let blocks = values.chunks_exact(BLOCK).zip(out.codes.chunks_exact_mut(BLOCK));
    for (index, (values, codes)) in blocks.enumerate() {
        // As integers, magnitudes sort like floats, and NaN above infinity.
        let largest = values.iter().map(|value| value.abs().to_bits()).max().unwrap_or(0);
        let scale = block_scale(largest);
        // A scale of zero and of NaN both mean that no code says anything.
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        for (code, value) in codes.iter_mut().zip(values) {
            *code = (value * inverse).round_ties_even() as i8;
        }
        let sum =
            |codes: &[i8]| scale * codes.iter().map(|&code| i32::from(code)).sum::<i32>() as f32;
        out.scales[index] = scale;
        out.sums[index] = sum(codes);
        out.low_sums[index] = sum(&codes[..16]);
        out.high_sums[index] = sum(&codes[16..]);
    }
}

/// A 127th of the largest magnitude, given as its bits; NaN if that is not finite, zero if it is
/// so small that a scale would have no normal inverse.
pub(in crate::kernels) fn block_scale(largest: u32) -> f32 {
    let scale = f32::from_bits(largest) / 127.0;
    match scale {
        _ if !scale.is_finite() => f32::NAN,
        _ if scale < f32::MIN_POSITIVE => 0.0,
        _ => scale,
    }
}
