//! Multi-head latent attention in its expanded, textbook form (DeepSeek-V2, arXiv 2405.04434,
//! section 2.1): keys and values of every head are made from the latents.

use edgeformer_core::Result;
use edgeformer_core::graph::{LatentAttention, LatentUp};

use super::Evaluator;
use super::attention::weigh;
use super::matrix::{Matrix, dot};
use super::sight::{Seen, Sight};

impl Evaluator<'_> {
    pub(super) fn latent(
        &self,
        attention: &LatentAttention,
        sight: &Sight<'_>,
        inputs: &[&Matrix],
    ) -> Result<Matrix> {
        let &LatentAttention { heads, scale, .. } = attention;
        let [q_nope, q_rope, latent, k_rope] = [inputs[0], inputs[1], inputs[2], inputs[3]];
        let (keys, values) = self.expand(attention, latent)?;
        Ok(q_nope.map_rows(|position, _| {
            let mut row = Vec::new();
            for head in 0..heads {
                let Seen { sinks, gap, from } = sight.seen(head, position);
                let query = q_rope.part(position, head, heads);
                let turned = sight.turn_back(query, gap);
                let score = |key: usize| {
                    let query = if key < sinks { &turned } else { query };
                    let plain =
                        dot(q_nope.part(position, head, heads), keys.part(key, head, heads));
                    let rotated = dot(query, k_rope.row(key));
                    (plain + rotated) * f64::from(scale)
                };
                let seen: Vec<usize> = (0..sinks).chain(from..position + 1).collect();
                let scores = seen.iter().copied().map(score).collect();
                row.extend(weigh(scores, |index| values.part(seen[index], head, heads)));
            }
            row
        }))
    }

    /// Keys without position and values of all heads.
    fn expand(&self, attention: &LatentAttention, latent: &Matrix) -> Result<(Matrix, Matrix)> {
        let &LatentAttention { heads, rank, nope_dim, value_dim, up, .. } = attention;
        match up {
            LatentUp::Fused { weight } => {
                let weight = self.weight(weight)?;
                let both = latent.map_rows(|_, latent| weight.times(latent));
                let part = |from: usize, len: usize| {
                    both.map_rows(|index, _| {
                        let head = |head| both.part(index, head, heads)[from..from + len].to_vec();
                        (0..heads).flat_map(head).collect()
                    })
                };
                Ok((part(0, nope_dim), part(nope_dim, value_dim)))
            }
            LatentUp::Split { key, value } => {
                // [heads * rank, nope_dim] and [heads * value_dim, rank].
                let (key, value) = (self.weight(key)?, self.weight(value)?);
                let keys = latent.map_rows(|_, latent| {
                    let element = |head: usize, dim: usize| {
                        (0..rank).map(|r| key.row(head * rank + r)[dim] * latent[r]).sum()
                    };
                    let head = |head| (0..nope_dim).map(move |dim| element(head, dim));
                    (0..heads).flat_map(head).collect()
                });
                Ok((keys, latent.map_rows(|_, latent| value.times(latent))))
            }
        }
    }
}
