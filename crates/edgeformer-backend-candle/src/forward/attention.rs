//! Attention with grouped heads, windows and soft caps.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;
use edgeformer_core::graph::{Attention, Mask};

use super::activation::{soft_cap, softmax};
use super::evaluate::Evaluator;
use super::fused::{self, Span, WholeAttention};
use super::places::{Rows, below};
use super::sight::Sight;
use crate::error::Result;
use crate::weights::widen;

/// Queries that are attended at a time: behind them, causal attention sees nothing.
pub(crate) const TILE: usize = 128;
/// Scores that are computed at a time: 32 MiB of f32.
pub(crate) const SCORES: usize = 1 << 23;

/// What is done with queries, whatever made them.
#[derive(Clone, Copy)]
pub(super) struct Mix<'a> {
    pub heads: usize,
    pub kv_heads: usize,
    pub scale: f32,
    pub soft_cap: Option<f32>,
    /// `None` where queries see all keys.
    pub sight: Option<Sight<'a>>,
}

impl Evaluator<'_, '_> {
    pub(super) fn attention(
        &mut self,
        attention: &Attention,
        inputs: &[&Rows],
        wanted: Option<&[Range<usize>]>,
    ) -> Result<Rows> {
        let &Attention { heads, kv_heads, scale, mask, soft_cap, slot, .. } = attention;
        let [q, k, v] = [inputs[0], inputs[1], inputs[2]];
        let sight = match mask {
            Mask::Causal => slot.map(|slot| self.call.setting.windows.of(slot)),
            Mask::Bidirectional => None,
        };
        let mix = Mix { heads, kv_heads, scale, soft_cap, sight };
        let at = Arc::new(wanted.map_or((*q.at).clone(), |wanted| q.at.of(wanted)));
        if self.is_whole(attention, q) && at.len() > 0 {
            let mut spans = Vec::with_capacity(at.spans().len());
            for (index, rows) in q.at.ranges().enumerate() {
                let (from, count) = at.spans()[index];
                let from = from - q.at.spans()[index].0;
                spans.push(Span { rows, queries: from..from + count });
            }
            let windows = sight.map(|sight| sight.windows().to_vec());
            let op = WholeAttention { spans, heads, kv_heads, scale, windows };
            let (keys, values) = (k.x.contiguous()?, v.x.contiguous()?);
            return Ok(Rows { x: q.x.contiguous()?.apply_op3(&keys, &values, op)?, at });
        }
        let mut mixed = Vec::with_capacity(at.spans().len());
        for (sequence, range) in q.at.ranges().enumerate() {
            let keys = by_head(&k.part(range.clone())?, kv_heads)?;
            let values = by_head(&v.part(range.clone())?, kv_heads)?;
            let (keys, values) = match slot {
                None => (keys, values),
                Some(slot) => {
                    let seen = self.past.extend(slot, sequence, keys, Some(values))?;
                    let values = seen
                        .values
                        .ok_or_else(|| crate::error::problem("the cache of keys has no values"))?;
                    (seen.keys, values)
                }
            };
            let (first, count) = at.spans()[sequence];
            if count > 0 {
                let start = range.start + first - q.at.spans()[sequence].0;
                let queries = by_head(&q.part(start..start + count)?, heads)?;
                let rows = mix.attend(&queries, first, &keys, &values)?;
                mixed.push(side_by_side(&rows)?);
            }
        }
        let x = if mixed.is_empty() { q.x.clone() } else { below(&mixed)? };
        Ok(Rows { x, at })
    }
}

impl Evaluator<'_, '_> {
    /// Whether an attention is one op: all that it sees is in the step.
    fn is_whole(&self, attention: &Attention, queries: &Rows) -> bool {
        let alone = attention.slot.is_none() || self.past.is_nothing();
        alone && attention.soft_cap.is_none() && fused::serves(&queries.x)
    }
}

impl Mix<'_> {
    /// Queries `[heads, count, key_dim]` of positions from `first` on; keys and values
    /// `[kv_heads, tokens, dim]` of positions from 0 on. Makes `[heads, count, value_dim]`.
    pub(super) fn attend(
        &self,
        queries: &Tensor,
        first: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor> {
        self.attend_from(queries, first, 0, keys, values)
    }

    /// The same with keys and values of positions from `origin` on, before which no query sees.
    pub(super) fn attend_from(
        &self,
        queries: &Tensor,
        first: usize,
        origin: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor> {
        let (count, tokens) = (queries.dim(1)?, keys.dim(1)?);
        let tile = (SCORES / (self.heads * tokens)).clamp(1, TILE);
        let mut tiles = Vec::with_capacity(count.div_ceil(tile));
        for start in (0..count).step_by(tile) {
            let size = tile.min(count - start);
            let queries = queries.narrow(1, start, size)?;
            let seen = match self.sight {
                None => origin..origin + tokens,
                Some(sight) => sight.first(first + start)..first + start + size,
            };
            let keys = keys.narrow(1, seen.start - origin, seen.len())?;
            let values = values.narrow(1, seen.start - origin, seen.len())?;
            tiles.push(self.attend_tile(&queries, first + start, seen, &keys, &values)?);
        }
        Ok(match tiles.as_slice() {
            [one] => one.clone(),
            several => Tensor::cat(several, 1)?,
        })
    }

    fn attend_tile(
        &self,
        queries: &Tensor,
        first: usize,
        seen: Range<usize>,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor> {
        let (heads, count, key_dim) = queries.dims3()?;
        let (kv_heads, shared) = (self.kv_heads, self.heads / self.kv_heads);
        let dtype = queries.dtype();
        let queries = queries.affine(f64::from(self.scale), 0.0)?;
        // Heads that share keys are rows of one product.
        let queries = queries.reshape((kv_heads, shared * count, key_dim))?;
        let mut scores = queries.matmul(&widen(keys, dtype)?.transpose(1, 2)?)?;
        if let Some(cap) = self.soft_cap {
            scores = soft_cap(&scores, cap)?;
        }
        if let Some(sight) = self.sight {
            let mask = sight.mask((first, count), seen.clone(), dtype, queries.device())?;
            if let Some(mask) = mask {
                scores = scores.reshape((heads, count, seen.len()))?.broadcast_add(&mask)?;
            }
        }
        let weights = softmax(&scores)?.reshape((kv_heads, shared * count, seen.len()))?;
        let mixed = weights.matmul(&widen(values, dtype)?)?;
        Ok(mixed.reshape((heads, count, mixed.dim(2)?))?)
    }
}

/// `[heads, rows, dim]` of `[rows, heads * dim]`.
pub(super) fn by_head(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (rows, width) = x.dims2()?;
    Ok(x.reshape((rows, heads, width / heads))?.transpose(0, 1)?.contiguous()?)
}

/// `[rows, heads * dim]` of `[heads, rows, dim]`.
pub(super) fn side_by_side(x: &Tensor) -> Result<Tensor> {
    let (heads, rows, dim) = x.dims3()?;
    Ok(x.transpose(0, 1)?.reshape((rows, heads * dim))?)
}
