//! What attention does with keys and values, plainly.

use half::f16;

use super::super::kv::{KvKernels, KvRows, Q4_ZERO, Queries};
use super::lanes::{self, Lanes};
use super::quantized::block_scale;

pub(in crate::kernels) static KERNELS: KvKernels = KvKernels {
    quantize_queries,
    scores,
    accumulate,
    largest,
    exp_minus,
    store_q8,
    store_q4,
    decode_rows,
    hadamard,
};

fn quantize_queries(floats: &[f32], block: usize, codes: &mut [i8], scales: &mut [f32]) {
    let blocks = floats.chunks_exact(block).zip(codes.chunks_exact_mut(block)).zip(scales);
    for ((values, codes), scale) in blocks {
        // As integers, magnitudes sort like floats, and NaN above infinity.
        let largest = values.iter().map(|value| value.abs().to_bits()).max().unwrap_or(0);
        *scale = block_scale(largest);
        // A scale of zero and of NaN both mean that no code says anything.
        let inverse = if *scale > 0.0 { 1.0 / *scale } else { 0.0 };
        for (code, value) in codes.iter_mut().zip(values) {
            *code = (value * inverse).round_ties_even() as i8;
        }
    }
}

/// In the order of [`lanes`]: over elements for floats, over elements of blocks for codes.
fn scores(
    queries: Queries<'_>,
    keys: KvRows<'_>,
    count: usize,
    out: &mut [f32],
    out_stride: usize,
) {
    for query in 0..queries.len() {
        let own = queries.slice(query, 1);
        for (key, out) in out[query * out_stride..][..count].iter_mut().enumerate() {
            *out = score(own, keys.from_row(key));
        }
    }
}

/// A query times the first key.
fn score(query: Queries<'_>, key: KvRows<'_>) -> f32 {
    let Queries { floats, codes: ours, scales: our_scales, width } = query;
    match key {
        KvRows::F32 { data, .. } => lanes::sum(width, |i| floats[i] * data[i]),
        KvRows::F16 { data, .. } => lanes::sum(width, |i| floats[i] * data[i].to_f32()),
        KvRows::Q8 { codes, scales, block, .. } => blocks(
            width,
            block,
            |b| our_scales[b] * scales[b].to_f32(),
            |i| i32::from(ours[i]) * i32::from(codes[i]),
        ),
        KvRows::Q4 { codes, scales, block, .. } => blocks(
            width,
            block,
            |b| our_scales[b] * scales[b].to_f32(),
            |i| i32::from(ours[i]) * nibble(codes, block, i),
        ),
    }
}

/// Of every block the products of four neighbouring elements are added up as integers and go to
/// one lane, scaled.
fn blocks(
    width: usize,
    block: usize,
    scale: impl Fn(usize) -> f32,
    product: impl Fn(usize) -> i32,
) -> f32 {
    let mut sums = Lanes::default();
    for start in (0..width).step_by(block) {
        let scale = scale(start / block);
        for (lane, sum) in sums.iter_mut().enumerate().take(block / 4) {
            let first = start + 4 * lane;
            *sum += scale * (first..first + 4).map(&product).sum::<i32>() as f32;
        }
    }
    lanes::reduce(&sums)
}

/// Element `i` of rows of 4-bit codes, unscaled.
fn nibble(codes: &[u8], block: usize, i: usize) -> i32 {
    let (first, within, half) = (i / block * block / 2, i % block, block / 2);
    let code = match within < half {
        true => codes[first + within] & 15,
        false => codes[first + within - half] >> 4,
    };
    i32::from(code) - Q4_ZERO
}

fn accumulate(
    weights: &[f32],
    weights_stride: usize,
    values: KvRows<'_>,
    count: usize,
    sums: &mut [f32],
    width: usize,
) {
    for (query, sums) in sums.chunks_exact_mut(width).enumerate() {
        for (value, &weight) in weights[query * weights_stride..][..count].iter().enumerate() {
            add_weighted(weight, values.from_row(value), sums);
        }
    }
}

/// `sums` += `weight` times the first row, decoded: a scale times a code is exact.
fn add_weighted(weight: f32, row: KvRows<'_>, sums: &mut [f32]) {
    match row {
        KvRows::F32 { data, .. } => {
            sums.iter_mut().zip(data).for_each(|(sum, x)| *sum += weight * x);
        }
        KvRows::F16 { data, .. } => {
            sums.iter_mut().zip(data).for_each(|(sum, x)| *sum += weight * x.to_f32());
        }
        KvRows::Q8 { codes, scales, block, .. } => {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum += weight * (scales[i / block].to_f32() * f32::from(codes[i]));
            }
        }
        KvRows::Q4 { codes, scales, block, .. } => {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum += weight * (scales[i / block].to_f32() * nibble(codes, block, i) as f32);
            }
        }
    }
}

fn largest(x: &[f32]) -> f32 {
    x.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

fn exp_minus(x: &mut [f32], max: f32) -> f32 {
    x.iter_mut().for_each(|x| *x = (*x - max).exp());
    lanes::sum(x.len(), |i| x[i])
}

fn store_q8(row: &[f32], block: usize, codes: &mut [i8], scales: &mut [f16]) {
    let blocks = row.chunks_exact(block).zip(codes.chunks_exact_mut(block)).zip(scales);
    for ((values, codes), scale) in blocks {
        let largest = values.iter().map(|value| value.abs().to_bits()).max().unwrap_or(0);
        *scale = f16::from_f32(block_scale(largest));
        let inverse = inverse(scale.to_f32());
        for (code, value) in codes.iter_mut().zip(values) {
            // The scale was rounded: what it had as 127 may be a little more.
            *code = (value * inverse).round_ties_even().clamp(-127.0, 127.0) as i8;
        }
    }
}

/// As ggml does it: the element of largest magnitude becomes the code -8, exactly.
fn store_q4(row: &[f32], block: usize, codes: &mut [u8], scales: &mut [f16]) {
    let half = block / 2;
    let blocks = row.chunks_exact(block).zip(codes.chunks_exact_mut(half)).zip(scales);
    for ((values, codes), scale) in blocks {
        let larger = |a: f32, b: f32| if b.abs().total_cmp(&a.abs()).is_gt() { b } else { a };
        let largest = values.iter().copied().fold(0.0, larger);
        *scale = f16::from_f32(largest / -8.0);
        let inverse = inverse(scale.to_f32());
        let code = |value: f32| (value * inverse + 8.5).floor().clamp(0.0, 15.0) as u8;
        let (low, high) = values.split_at(half);
        for ((out, &low), &high) in codes.iter_mut().zip(low).zip(high) {
            *out = code(low) | code(high) << 4;
        }
    }
}

/// Zero where codes under such a scale say nothing.
pub(in crate::kernels) fn inverse(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_finite() { inverse } else { 0.0 }
}

fn decode_rows(rows: KvRows<'_>, width: usize, out: &mut [f32]) {
    for (row, out) in out.chunks_exact_mut(width).enumerate() {
        match rows.from_row(row) {
            KvRows::F32 { data, .. } => out.copy_from_slice(&data[..width]),
            KvRows::F16 { data, .. } => {
                out.iter_mut().zip(data).for_each(|(out, x)| *out = x.to_f32());
            }
            KvRows::Q8 { codes, scales, block, .. } => {
                for (i, out) in out.iter_mut().enumerate() {
                    *out = scales[i / block].to_f32() * f32::from(codes[i]);
                }
            }
            KvRows::Q4 { codes, scales, block, .. } => {
                for (i, out) in out.iter_mut().enumerate() {
                    *out = scales[i / block].to_f32() * nibble(codes, block, i) as f32;
                }
            }
        }
    }
}

pub(in crate::kernels) fn hadamard(x: &mut [f32], group: usize) {
    let norm = 1.0 / (group as f32).sqrt();
    for part in x.chunks_exact_mut(group) {
        let mut span = 1;
        while span < group {
            for pair in part.chunks_exact_mut(2 * span) {
                let (left, right) = pair.split_at_mut(span);
                for (a, b) in left.iter_mut().zip(right) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            span *= 2;
        }
        part.iter_mut().for_each(|x| *x *= norm);
    }
}
