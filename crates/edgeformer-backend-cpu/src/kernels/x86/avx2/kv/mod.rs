//! Kernels on keys and values.
//!
//! A score is eight lanes that add up over the row, whatever tile of queries and keys it is part
//! of, and are then added in the order of the scalar table. A sum of values runs over the keys in
//! order, whatever tile of queries and columns it is part of.

mod accumulate;
mod codes;
mod crosswise;
mod decode;
mod hadamard;
mod scores;
mod store;
mod weigh;

use crate::kernels::kv::KvKernels;

pub(super) static KERNELS: KvKernels = KvKernels {
    quantize_queries: store::quantize_queries,
    scores: scores::scores,
    accumulate: accumulate::accumulate,
    largest: weigh::largest,
    exp_minus: weigh::exp_minus,
    store_q8: store::store_q8,
    store_q4: store::store_q4,
    decode_rows: decode::decode_rows,
    hadamard: hadamard::hadamard,
};
