//! Products of quantized weights with 8-bit activations.

use edgeformer_core::Format;
use edgeformer_core::quant::{
    Block, Group, Iq4Nl, Iq4Xs, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0,
};

use super::super::matmul::{FloatMatmul, MatmulFn};
use super::super::q8::{BLOCK, Q8Row, Q8RowMut};
use super::super::{ColumnsMut, Q8Rows};

/// Products of the codes of weights with those of activations: what tables differ in.
pub(in crate::kernels) trait Products {
    /// The sums of the products of the first and of the last 16 codes, `x` within -127..=127:
    /// integers, and exact.
    ///
    /// # Safety
    /// The machine has the instructions.
    unsafe fn of_halves(weights: &[i8; BLOCK], x: &[i8; BLOCK]) -> [i32; 2];
}

/// Plain Rust.
pub(super) struct Plain;

impl Products for Plain {
    #[inline]
    unsafe fn of_halves(weights: &[i8; BLOCK], x: &[i8; BLOCK]) -> [i32; 2] {
        [0..16, 16..BLOCK].map(|half| {
            let pairs = weights[half.clone()].iter().zip(&x[half]);
            pairs.map(|(&w, &x)| i32::from(w) * i32::from(x)).sum()
        })
    }
}

/// The product for weights of a format; `floats` are those for `F32`, `F16` and `BF16`.
///
/// It may be called only on machines that have the instructions of `P`.
pub(in crate::kernels) fn for_format<P: Products>(
    format: Format,
    [f32, f16, bf16]: [FloatMatmul; 3],
) -> MatmulFn {
    use MatmulFn::{Float, Quantized};
    match format {
        Format::F32 => Float(f32),
        Format::F16 => Float(f16),
        Format::BF16 => Float(bf16),
        Format::Q8_0 => Quantized(matmul::<P, Q8_0, _, _, _>),
        Format::Q4_0 => Quantized(matmul::<P, Q4_0, _, _, _>),
        Format::Q4_1 => Quantized(matmul::<P, Q4_1, _, _, _>),
        Format::Q5_0 => Quantized(matmul::<P, Q5_0, _, _, _>),
        Format::Q5_1 => Quantized(matmul::<P, Q5_1, _, _, _>),
        Format::Q2K => Quantized(matmul::<P, Q2K, _, _, _>),
        Format::Q3K => Quantized(matmul::<P, Q3K, _, _, _>),
        Format::Q4K => Quantized(matmul::<P, Q4K, _, _, _>),
        Format::Q5K => Quantized(matmul::<P, Q5K, _, _, _>),
        Format::Q6K => Quantized(matmul::<P, Q6K, _, _, _>),
        Format::Iq4Nl => Quantized(matmul::<P, Iq4Nl, _, _, _>),
        Format::Iq4Xs => Quantized(matmul::<P, Iq4Xs, _, _, _>),
    }
}

/// `out[t][r]` is the sum over the activation blocks, in order, of [`product`].
///
/// # Safety
/// The machine has the instructions of `P`.
unsafe fn matmul<P, B, const LEN: usize, const BYTES: usize, const GROUPS: usize>(
    weights: &[u8],
    columns: usize,
    activations: Q8Rows<'_>,
    out: &mut ColumnsMut<'_>,
) where
    P: Products,
    B: Block<LEN, BYTES, GROUPS>,
{
    let (blocks, _) = weights.as_chunks::<BYTES>();
    for (row, blocks) in blocks.chunks_exact(columns / LEN).enumerate() {
        (0..out.rows()).for_each(|token| out.set(token, row, 0.0));
        for (index, block) in blocks.iter().enumerate() {
            let (codes, groups) = (B::codes(block), B::groups(block));
            for token in 0..out.rows() {
                let x = activations.row(token);
                let mut sum = out.row_mut(token)[row];
                for (part, codes) in codes.as_chunks().0.iter().enumerate() {
                    let group = |half| groups[(2 * part + half) * 16 * GROUPS / LEN];
                    let (groups, index) = ([group(0), group(1)], index * LEN / BLOCK + part);
                    // SAFETY: the machine has the instructions, the caller says.
                    sum += unsafe { product::<P>(codes, groups, x, index) };
                }
                out.set(token, row, sum);
            }
        }
    }
}

/// 32 weights, in two groups of 16, times block `index` of an activation row. The products of
/// codes are integers: at most 16 * 128 * 127 in sum, far from overflow, and exact as f32.
///
/// # Safety
/// The machine has the instructions of `P`.
#[inline]
unsafe fn product<P: Products>(
    weights: &[i8; BLOCK],
    groups: [Group; 2],
    x: Q8Row<'_>,
    index: usize,
) -> f32 {
    let codes = x.codes[index * BLOCK..].first_chunk().expect("a row has whole blocks");
    // SAFETY: the machine has the instructions, the caller says.
    let [low, high] = unsafe { P::of_halves(weights, codes) }.map(|sum| sum as f32);
    let scaled = groups[0].scale * low + groups[1].scale * high;
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
