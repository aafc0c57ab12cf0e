//! Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1).

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;
use edgeformer_core::LatentForm;
use edgeformer_core::graph::{LatentAttention, LatentUp};

use super::attention::{Mix, by_head, side_by_side};
use super::evaluate::Evaluator;
use super::places::{Rows, below};
use crate::error::Result;
use crate::weights::widen;

/// Where keys and values of every head come from.
struct Up {
    /// `[heads, nope_dim, rank]`.
    key: Tensor,
    /// `[heads, value_dim, rank]`.
    value: Tensor,
}

impl Evaluator<'_, '_> {
    pub(super) fn latent(
        &mut self,
        attention: &LatentAttention,
        inputs: &[&Rows],
        wanted: Option<&[Range<usize>]>,
    ) -> Result<Rows> {
        let [q_nope, q_rope, latent, k_rope] = [inputs[0], inputs[1], inputs[2], inputs[3]];
        let form = self.call.setting.latent_form;
        let sight = Some(self.call.setting.windows.of(attention.slot));
        let up = self.up(attention)?;
        let at = Arc::new(wanted.map_or((*q_nope.at).clone(), |wanted| q_nope.at.of(wanted)));
        let mut mixed = Vec::with_capacity(at.spans().len());
        for (sequence, range) in q_nope.at.ranges().enumerate() {
            let step = [latent.part(range.clone())?, k_rope.part(range.clone())?];
            let step = Tensor::cat(&step, 1)?.unsqueeze(0)?;
            let cached = self.past.extend(attention.slot, sequence, step, None)?.keys;
            let (first, count) = at.spans()[sequence];
            if count == 0 {
                continue;
            }
            let start = range.start + first - q_nope.at.spans()[sequence].0;
            let nope = by_head(&q_nope.part(start..start + count)?, attention.heads)?;
            let rope = by_head(&q_rope.part(start..start + count)?, attention.heads)?;
            let &LatentAttention { heads, scale, .. } = attention;
            let mix = Mix { heads, kv_heads: 1, scale, soft_cap: None, sight };
            let rows = match absorbs(attention, form, count, cached.dim(1)?) {
                true => absorbed(attention, &mix, &up, [&nope, &rope], first, &cached)?,
                false => {
                    let mix = Mix { kv_heads: heads, ..mix };
                    expanded(attention, &mix, &up, [&nope, &rope], first, &cached)?
                }
            };
            mixed.push(side_by_side(&rows)?);
        }
        let x = if mixed.is_empty() { q_nope.x.clone() } else { below(&mixed)? };
        Ok(Rows { x, at })
    }

    fn up(&self, attention: &LatentAttention) -> Result<Up> {
        let &LatentAttention { heads, rank, nope_dim, value_dim, .. } = attention;
        let weights = self.call.weights;
        Ok(match attention.up {
            LatentUp::Fused { weight } => {
                let both = weights.dense(weight)?.reshape((heads, nope_dim + value_dim, rank))?;
                let (key, value) =
                    (both.narrow(1, 0, nope_dim)?, both.narrow(1, nope_dim, value_dim)?);
                Up { key, value }
            }
            LatentUp::Split { key, value } => {
                let key = weights.dense(key)?.transpose(1, 2)?;
                Up { key, value: weights.dense(value)? }
            }
        })
    }
}

/// Whether queries go to the latents' space rather than latents to that of the heads: what takes
/// fewer multiplications for so many queries of so many tokens, unless a form is asked for.
fn absorbs(attention: &LatentAttention, form: LatentForm, queries: usize, tokens: usize) -> bool {
    let &LatentAttention { rank, nope_dim, rope_dim, value_dim, .. } = attention;
    match form {
        LatentForm::Absorbed => true,
        LatentForm::Expanded => false,
        LatentForm::Auto => {
            let project = rank * (nope_dim + value_dim);
            let absorbed = queries * (project + tokens * (2 * rank + rope_dim));
            let expanded = tokens * project + queries * tokens * (nope_dim + rope_dim + value_dim);
            absorbed <= expanded
        }
    }
}

/// `[heads, count, value_dim]`: scores and mixtures of the latents themselves.
fn absorbed(
    attention: &LatentAttention,
    mix: &Mix<'_>,
    up: &Up,
    [nope, rope]: [&Tensor; 2],
    first: usize,
    cached: &Tensor,
) -> Result<Tensor> {
    let queries = Tensor::cat(&[&nope.matmul(&matrix(&up.key)?)?, rope], 2)?;
    // The rotated keys are mixed too and cut off: a view of the latents alone has gaps.
    let mixed = mix.attend(&queries, first, cached, cached)?;
    let latents = mixed.narrow(2, 0, attention.rank)?.contiguous()?;
    Ok(latents.matmul(&matrix(&up.value)?.transpose(1, 2)?)?)
}

/// `[heads, count, value_dim]`: every latent becomes keys and values.
fn expanded(
    attention: &LatentAttention,
    mix: &Mix<'_>,
    up: &Up,
    [nope, rope]: [&Tensor; 2],
    first: usize,
    cached: &Tensor,
) -> Result<Tensor> {
    let &LatentAttention { heads, rank, rope_dim, .. } = attention;
    let from = mix.sight.map_or(0, |sight| sight.first(first));
    let tokens = cached.dim(1)?;
    let cached = widen(&cached.narrow(1, from, tokens - from)?, nope.dtype())?;
    let tokens = tokens - from;
    let latents = cached.narrow(2, 0, rank)?.broadcast_as((heads, tokens, rank))?.contiguous()?;
    let turned = cached.narrow(2, rank, rope_dim)?.broadcast_as((heads, tokens, rope_dim))?;
    let keys = latents.matmul(&matrix(&up.key)?.transpose(1, 2)?)?;
    let keys = Tensor::cat(&[&keys, &turned.contiguous()?], 2)?;
    let values = latents.matmul(&matrix(&up.value)?.transpose(1, 2)?)?;
    let queries = Tensor::cat(&[nope, rope], 2)?;
    mix.attend_from(&queries, first, from, &keys, &values)
}

/// A stack of matrices as products take it on every device.
fn matrix(stack: &Tensor) -> Result<Tensor> {
    match stack.device().is_cpu() {
        // Any strides do.
        true => Ok(stack.clone()),
        false => Ok(stack.contiguous()?),
    }
}
