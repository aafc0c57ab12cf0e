//! How attention is cut into jobs, from shapes alone: what a thread needs room for.

use edgeformer_core::Op;
use edgeformer_core::graph::{Attention, LatentAttention, Mask, RowKind};

use super::buffers::Capacity;

/// Queries that a thread takes through the keys together: each key is read once for all of them.
const QUERIES: usize = 16;
/// Scores that a thread keeps, unless the heads of one group need more.
const SCORES: usize = 1 << 18;

/// The jobs of an attention op: `rows` query rows by `heads` query heads each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Jobs {
    /// Query rows of a job, of one span.
    pub rows: usize,
    /// Query heads of a job. They read the same keys.
    pub heads: usize,
    /// Width of a query and of a key.
    pub key_dim: usize,
    /// Width of what is summed up: a value head, or a latent.
    pub value_dim: usize,
    /// Keys that a query sees at most.
    pub visible: usize,
}

impl Jobs {
    /// A job has the query heads of one key-value head.
    pub fn grouped(
        attention: &Attention,
        kind: RowKind,
        capacity: &Capacity,
        context: usize,
    ) -> Self {
        let heads = attention.heads / attention.kv_heads;
        let longest = match attention.mask {
            Mask::Causal => context,
            Mask::Bidirectional => capacity.span_rows(kind),
        };
        // Both sides of a query that sees both.
        let window = attention.window.map_or(usize::MAX, |window| match attention.mask {
            Mask::Causal => window,
            Mask::Bidirectional => window.saturating_mul(2),
        });
        let visible = longest.min(window);
        Self {
            rows: job_rows(heads, visible),
            heads,
            key_dim: attention.key_dim,
            value_dim: attention.value_dim,
            visible,
        }
    }

    /// All heads read the same latents: a job has several, but every thread should have one.
    pub fn latent(attention: &LatentAttention, context: usize, threads: usize) -> Self {
        let share = attention.heads.div_ceil(threads.max(1));
        let heads =
            (1..=share.min(QUERIES)).rev().find(|heads| attention.heads.is_multiple_of(*heads));
        let heads = heads.unwrap_or(1);
        Self {
            rows: job_rows(heads, context),
            heads,
            key_dim: attention.rank + attention.rope_dim,
            value_dim: attention.rank,
            visible: context,
        }
    }

    /// Queries of a job.
    pub fn queries(&self) -> usize {
        self.rows * self.heads
    }

    /// The jobs of `op`, if it is attention.
    pub fn of(
        op: &Op,
        kind: RowKind,
        capacity: &Capacity,
        context: usize,
        threads: usize,
    ) -> Option<Self> {
        match op {
            Op::Attention(attention) => Some(Self::grouped(attention, kind, capacity, context)),
            Op::LatentAttention(attention) => Some(Self::latent(attention, context, threads)),
            _ => None,
        }
    }
}

fn job_rows(heads: usize, visible: usize) -> usize {
    let by_queries = QUERIES / heads;
    let by_scores = SCORES / heads.saturating_mul(visible).max(1);
    by_queries.min(by_scores).max(1)
}
