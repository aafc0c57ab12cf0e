//! Attention (Vaswani et al., arXiv 1706.03762, equation 1), with grouped heads (arXiv 2305.13245),
//! windows and soft caps.

use edgeformer_core::graph::{Attention, Mask};

use super::matrix::{Matrix, dot, softmax};
use super::rows::soft_cap;

pub(super) fn attend(attention: &Attention, q: &Matrix, k: &Matrix, v: &Matrix) -> Matrix {
    let &Attention { heads, kv_heads, scale, mask, window, soft_cap: cap, .. } = attention;
    q.map_rows(|position, _| {
        let seen = match mask {
            Mask::Bidirectional => 0..k.len(),
            // Exactly `window` positions, the query's own included.
            Mask::Causal => {
                (position + 1).saturating_sub(window.unwrap_or(usize::MAX))..position + 1
            }
        };
        let mut row = Vec::new();
        for head in 0..heads {
            let shared = head * kv_heads / heads;
            let query = q.part(position, head, heads);
            let score = |key: usize| {
                let score = dot(query, k.part(key, shared, kv_heads)) * f64::from(scale);
                cap.map_or(score, |cap| soft_cap(score, cap))
            };
            let scores: Vec<f64> = seen.clone().map(score).collect();
            row.extend(weigh(scores, |index| v.part(seen.start + index, shared, kv_heads)));
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
