//! Kernels on keys and values.
//!
//! A score is lanes that add up over the row, whatever tile of queries and keys it is part of, and
//! are then added in one order. A sum of values runs over the keys in order, whatever tile of
//! queries and columns it is part of.

mod accumulate;
mod codes;
mod hadamard;
mod kept;
mod scores;
mod store;

use super::dot_product::DotProduct;
use super::reduce;
use crate::kernels::kv::KvKernels;

/// Codes of queries are multiplied with those of keys by `P`.
///
/// The kernels may be called only on machines that have its instructions.
pub(super) const fn kernels<P: DotProduct>() -> KvKernels {
    KvKernels {
        quantize_queries: store::quantize_queries,
        scores: scores::scores::<P>,
        accumulate: accumulate::accumulate,
        largest: reduce::largest,
        exp_minus: reduce::exp_minus,
        store_q8: store::store_q8,
        store_q4: store::store_q4,
        decode_rows: accumulate::decode_rows,
        hadamard: hadamard::hadamard,
    }
}
