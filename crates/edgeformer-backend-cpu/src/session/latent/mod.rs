//! Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1), in two forms: queries
//! go to the latents' space (`absorbed`), or latents become keys and values (`expanded`). A span
//! takes the one that costs less, unless the session pins one: sessions that look at attention, or
//! show queries only parts of the past, are absorbed.

mod absorbed;
mod expanded;

use edgeformer_core::graph::{LatentAttention, RowKind, Value};
use edgeformer_core::{LatentForm, Result, Rows};

use self::absorbed::Absorbed;
use super::run::Executor;
use super::tiles::slice;
use crate::program::{Jobs, LatentCost, QueryRope, UpProjections};

/// Rows that continue a sequence and are computed as single tokens are: absorbed. One more than
/// [`MAX_DRAFT`](edgeformer_core::config::MAX_DRAFT).
const FEW_ROWS: usize = edgeformer_core::config::MAX_DRAFT + 1;

/// The ingredients of an op.
#[derive(Clone, Copy)]
struct Latent<'a> {
    attention: &'a LatentAttention,
    up: &'a UpProjections,
    q_nope: Rows<'a>,
    q_rope: Rows<'a>,
}

impl Executor<'_> {
    pub(super) fn latent_attention(
        &mut self,
        attention: &LatentAttention,
        up: &UpProjections,
        rope: Option<QueryRope>,
        inputs: &[Value],
        output: Value,
    ) -> Result<()> {
        let kind = self.program.model.graph.values[inputs[0].index()].rows;
        self.store_latents(attention, inputs, kind);
        self.cache.pages.fetch(attention.slot)?;
        let mut watch = std::mem::take(&mut self.cache.watch);
        let mut lent = self.memory.take(output);
        let [q_nope, q_rope] = [0, 1].map(|index| self.memory.read(inputs[index]));
        let latent = Latent { attention, up, q_nope, q_rope };
        let expands = |span| self.is_expanded(attention, kind, output, span);
        for span in (0..self.rows.spans().len()).filter(|&span| expands(span)) {
            self.attend_expanded(&latent, kind, output, span, lent.data());
        }
        if !(0..self.rows.spans().len()).all(expands) {
            let jobs = Jobs::absorbed(attention, self.pool.threads());
            let takes = &|span| !expands(span);
            let (kernels, rotation) = (self.kernels, self.cache.pages.rotation(attention.slot));
            let absorbed = Absorbed { kernels, latent, jobs, rope, rotation, takes };
            self.attend(&absorbed, kind, output, lent.data(), &mut watch);
        }
        self.memory.put_back(output, lent);
        self.cache.watch = watch;
        Ok(())
    }

    /// Whether a span is expanded.
    fn is_expanded(
        &self,
        attention: &LatentAttention,
        kind: RowKind,
        output: Value,
        span: usize,
    ) -> bool {
        match self.latent_form {
            LatentForm::Absorbed => false,
            LatentForm::Expanded => true,
            LatentForm::Auto => {
                let rows = self.rows.range(kind, span).len();
                let own = &self.rows.spans()[span];
                // Guessed tokens that are verified together get the bits of single ones.
                if own.first > 0 && rows <= FEW_ROWS {
                    return false;
                }
                let compact = self.memory.is_compact(output);
                let queries = if compact { own.wanted.len() } else { rows };
                let context = own.first + rows;
                LatentCost::default().prefers_expanded(attention, queries, context)
            }
        }
    }

    fn store_latents(&mut self, attention: &LatentAttention, inputs: &[Value], kind: RowKind) {
        let width = attention.rank + attention.rope_dim;
        let (latent, rotated) = (self.memory.read(inputs[2]), self.memory.read(inputs[3]));
        let joined = &mut self.scratch.latent_rows[..latent.len() * width];
        for (row, out) in joined.chunks_exact_mut(width).enumerate() {
            let (left, right) = out.split_at_mut(attention.rank);
            left.copy_from_slice(latent.row(row));
            right.copy_from_slice(rotated.row(row));
        }
        for (index, span) in self.rows.spans().iter().enumerate() {
            let keys = slice(Rows::new(joined, width), self.rows.range(kind, index));
            self.cache.pages.store(attention.slot, span.sequence, span.first, keys, None);
        }
    }
}
