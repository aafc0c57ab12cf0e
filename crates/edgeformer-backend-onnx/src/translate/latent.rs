//! Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1) by plain operators.
//! Cached are latents and rotated keys, side by side.

use edgeformer_core::Result;
use edgeformer_core::graph::{LatentAttention, LatentUp, WeightId};

use super::Translator;
use super::builder::Name;
use super::cache::Side;

/// A stack of matrices, a head each.
struct Stack {
    name: Name,
    /// Whether it is `[heads, width, rank]` rather than `[heads, rank, width]`.
    to_width: bool,
}

impl Translator<'_> {
    pub(super) fn latent_attention(
        &mut self,
        inputs: &[&str],
        attention: &LatentAttention,
    ) -> Result<Name> {
        let &LatentAttention { heads, rank, nope_dim, rope_dim, value_dim, slot, .. } = attention;
        let [q_nope, q_rope, latent, k_rope] = [inputs[0], inputs[1], inputs[2], inputs[3]];
        let (keys, values) = self.up(attention)?;
        let q_nope = self.heads_first(q_nope, heads, nope_dim);
        let q_rope = self.heads_first(q_rope, heads, rope_dim);
        let row = self.b.concat(&[latent, k_rope], -1);
        // [batch, 1, total, rank + rope_dim]: one head for all queries.
        let seen = self.cached(&row, slot, Side::Key, 1, rank + rope_dim);
        let latents = self.b.slice(&seen, 3, 0, rank);
        let mask = self.causal_mask(self.options.window);
        let mixed = if self.options.expanded {
            let rotated = self.b.slice(&seen, 3, rank, rank + rope_dim);
            let keys = self.times(&latents, &keys, true);
            let values = self.times(&latents, &values, true);
            let plain = self.b.times_transposed(&q_nope, (&keys, 4), attention.scale);
            let turned = self.b.times_transposed(&q_rope, (&rotated, 4), attention.scale);
            let scores = self.b.op("Add", &[&plain, &turned], vec![]);
            let weights = self.weights_of(&scores, &mask);
            self.b.op("MatMul", &[&weights, &values], vec![])
        } else {
            let absorbed = self.times(&q_nope, &keys, false);
            let queries = self.b.concat(&[&absorbed, &q_rope], -1);
            let scores = self.b.times_transposed(&queries, (&seen, 4), attention.scale);
            let weights = self.weights_of(&scores, &mask);
            let mixed = self.b.op("MatMul", &[&weights, &latents], vec![]);
            self.times(&mixed, &values, true)
        };
        Ok(self.heads_last(&mixed, heads * value_dim))
    }

    /// Rows times each head's matrix: from the rank to the head's width, or back.
    fn times(&mut self, rows: &str, stack: &Stack, to_width: bool) -> Name {
        match stack.to_width == to_width {
            true => self.b.times_transposed(rows, (&stack.name, 3), 1.0),
            false => self.b.op("MatMul", &[rows, &stack.name], vec![]),
        }
    }

    /// The stacks that make keys and values, as floats.
    fn up(&mut self, attention: &LatentAttention) -> Result<(Stack, Stack)> {
        match attention.up {
            LatentUp::Split { key, value } => {
                let key = Stack { name: self.table(key)?, to_width: false };
                Ok((key, Stack { name: self.table(value)?, to_width: true }))
            }
            LatentUp::Fused { weight } => self.parted(attention, weight),
        }
    }

    fn parted(&mut self, attention: &LatentAttention, weight: WeightId) -> Result<(Stack, Stack)> {
        let &LatentAttention { heads, rank, nope_dim, value_dim, .. } = attention;
        let both = self.weight(weight)?.to_f32();
        let head = (nope_dim + value_dim) * rank;
        let part = |from: usize, to: usize| -> Vec<f32> {
            both.chunks_exact(head)
                .flat_map(|head| &head[from * rank..to * rank])
                .copied()
                .collect()
        };
        let (keys, values) = (part(0, nope_dim), part(nope_dim, nope_dim + value_dim));
        let key = self.b.floats(&[heads, nope_dim, rank], &keys);
        let value = self.b.floats(&[heads, value_dim, rank], &values);
        Ok((Stack { name: key, to_width: true }, Stack { name: value, to_width: true }))
    }
}
