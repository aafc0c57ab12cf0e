//! Kernels on keys and values.
//!
//! A score is lanes that add up over the row, whatever tile of queries and keys it is part of, and
//! are then added in one order. A sum of values runs over the keys in order, whatever tile of
//! queries and columns it is part of.

mod accumulate;
mod codes;
mod kept;
mod scores;

use super::{quantized, reduce};
use crate::kernels::kv::KvKernels;
use crate::kernels::scalar;

pub(super) static KERNELS: KvKernels = KvKernels {
    quantize_queries,
    scores: scores::scores,
    accumulate: accumulate::accumulate,
    largest: reduce::largest,
    exp_minus: reduce::exp_minus,
    store_q8: scalar::kv::store_q8,
    store_q4: scalar::kv::store_q4,
    decode_rows: accumulate::decode_rows,
    hadamard: scalar::kv::hadamard,
};

#[target_feature(enable = "neon")]
fn quantize_queries(floats: &[f32], block: usize, codes: &mut [i8], scales: &mut [f32]) {
    match block {
        32 => quantize::<32>(floats, codes, scales),
        16 => quantize::<16>(floats, codes, scales),
        _ => quantize::<8>(floats, codes, scales),
    }
}

#[target_feature(enable = "neon")]
fn quantize<const N: usize>(floats: &[f32], codes: &mut [i8], scales: &mut [f32]) {
    let blocks = floats.as_chunks::<N>().0.iter().zip(codes.as_chunks_mut::<N>().0);
    for ((values, codes), scale) in blocks.zip(scales) {
        *scale = quantized::quantize(values, codes);
    }
}
