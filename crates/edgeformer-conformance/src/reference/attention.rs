//! Attention (Vaswani et al., arXiv 1706.03762, equation 1), with grouped heads (arXiv 2305.13245),
//! windows and soft caps.

use edgeformer_core::graph::{Attention, Mask};

use super::matrix::{Matrix, dot, softmax};
use super::rows::soft_cap;
use super::sight::{Seen, Sight};

pub(super) fn attend(
    attention: &Attention,
    sight: &Sight<'_>,
    q: &Matrix,
    k: &Matrix,
    v: &Matrix,
) -> Matrix {
    let &Attention { heads, kv_heads, scale, mask, soft_cap: cap, .. } = attention;
    q.map_rows(|position, _| {
        let mut row = Vec::new();
        for head in 0..heads {
            let shared = head * kv_heads / heads;
            let query = q.part(position, head, heads);
            // A window has exactly as many positions as it says, the query's own included.
            let (Seen { sinks, gap, from }, end) = match mask {
                Mask::Bidirectional => (Seen { sinks: 0, gap: 0, from: 0 }, k.len()),
                Mask::Causal => (sight.seen(head, position), position + 1),
            };
            let turned = sight.turn_back(query, gap);
            let score = |key: usize| {
                let query = if key < sinks { &turned } else { query };
                let score = dot(query, k.part(key, shared, kv_heads)) * f64::from(scale);
                cap.map_or(score, |cap| soft_cap(score, cap))
            };
            let keys: Vec<usize> = (0..sinks).chain(from..end).collect();
            let scores: Vec<f64> = keys.iter().copied().map(score).collect();
            row.extend(weigh(scores, |index| v.part(keys[index], shared, kv_heads)));
        }
        row
    })
}

/// The mean of values under the softmax of scores.
pub(super) fn weigh<V: AsRef<[f64]>>(mut scores: Vec<f64>, value: impl Fn(usize) -> V) -> Vec<f64> {
    softmax(&mut scores);
    let mut sum = vec![0.0; value(0).as_ref().len()];
    for (index, weight) in scores.iter().enumerate() {
        for (sum, value) in sum.iter_mut().zip(value(index).as_ref()) {
            *sum += weight * value;
        }
    }
    sum
}
