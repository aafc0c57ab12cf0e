//! Products of quantized weights with 8-bit activations.

use super::super::q8::{BLOCK, Q8Row, Q8RowMut};
use super::super::{ColumnsMut, Q8Rows};
use super::blocks::{Block, Layout};

/// `out[t][r]` is the sum over the blocks, in order, of [`product`].
pub(super) fn matmul<L: Layout>(
    weights: &[u8],
    columns: usize,
    activations: Q8Rows<'_>,
    out: &mut ColumnsMut<'_>,
) {
    let row_bytes = columns / (BLOCK * L::PARTS) * L::BYTES;
    for (row, bytes) in weights.chunks_exact(row_bytes).enumerate() {
        (0..out.rows()).for_each(|token| out.set(token, row, 0.0));
        for index in 0..columns / BLOCK {
            let super_block = &bytes[index / L::PARTS * L::BYTES..][..L::BYTES];
            let block = L::part(super_block, index % L::PARTS);
            for token in 0..out.rows() {
                out.row_mut(token)[row] += product(&block, activations.row(token), index);
            }
        }
    }
}

/// A weight block times block `index` of an activation row. The products of codes are integers:
/// at most 32 * 128 * 127, far from overflow, and exact as f32.
fn product(block: &Block, row: Q8Row<'_>, index: usize) -> f32 {
    let codes = &row.codes[index * BLOCK..][..BLOCK];
    let dot = |half: usize| -> i32 {
        let elements = 16 * half..16 * half + 16;
        let pairs = block.codes[elements.clone()].iter().zip(&codes[elements]);
        pairs.map(|(&w, &x)| i32::from(w) * i32::from(x)).sum()
    };
    let scaled = block.scales[0] * dot(0) as f32 + block.scales[1] * dot(1) as f32;
    let minima = block.minima[0] * row.low_sums[index] + block.minima[1] * row.high_sums[index];
    row.scales[index] * scaled + minima
}

/// A row of activations to 8 bits; see [`Q8Rows`] for what the numbers mean.
pub(super) fn quantize_row(values: &[f32], out: Q8RowMut<'_>) {
    let blocks = values.chunks_exact(BLOCK).zip(out.codes.chunks_exact_mut(BLOCK));
    for (index, (values, codes)) in blocks.enumerate() {
        let scale = block_scale(values);
        // A scale of zero and of NaN both mean that no code says anything.
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        for (code, value) in codes.iter_mut().zip(values) {
            *code = (value * inverse).round_ties_even() as i8;
        }
        let sum =
            |codes: &[i8]| scale * codes.iter().map(|&code| i32::from(code)).sum::<i32>() as f32;
        out.scales[index] = scale;
        out.low_sums[index] = sum(&codes[..16]);
        out.high_sums[index] = sum(&codes[16..]);
    }
}

/// A 127th of the largest magnitude; NaN if that is not finite, zero if it has no normal inverse.
fn block_scale(values: &[f32]) -> f32 {
    // As integers, magnitudes sort like floats, and NaN above infinity.
    let largest = values.iter().map(|value| value.abs().to_bits()).max().unwrap_or(0);
    let scale = f32::from_bits(largest) / 127.0;
    match scale {
        _ if !scale.is_finite() => f32::NAN,
        _ if scale < f32::MIN_POSITIVE => 0.0,
        _ => scale,
    }
}
