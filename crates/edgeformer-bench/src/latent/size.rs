use serde::{Deserialize, Serialize};

use edgeformer_core::graph::LatentAttention;
use edgeformer_core::{CacheFormat, Graph, Op, Outputs, SessionOptions};

use crate::cache::read;
use crate::subject::Subject;
use crate::{Error, Progress, Result};

/// Rows of a step while the cache is filled.
const CHUNK: usize = 512;

/// The widths of latent attention that figures follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimensions {
    /// Query heads.
    pub heads: usize,
    /// Width of the latent.
    pub rank: usize,
    /// Width of a key head's part without position.
    pub nope: usize,
    /// Width of the rotated part, which all heads share.
    pub rope: usize,
    /// Width of a value head.
    pub value: usize,
}

impl Dimensions {
    /// Of a graph whose caching ops are all latent attention of one shape.
    ///
    /// # Errors
    /// If it has none, or others.
    pub fn of(graph: &Graph) -> Result<Self> {
        let mut found = graph.nodes.iter().filter_map(|node| match &node.op {
            Op::LatentAttention(attention) => Some(Self::from(attention)),
            _ => None,
        });
        let wrong = |problem: &str| Error::Request(format!("{}: {problem}", graph.name));
        let first = found.next().ok_or_else(|| wrong("the model has no latent attention"))?;
        if found.any(|other| other != first) {
            return Err(wrong("the layers' latent attention differs in shape"));
        }
        Ok(first)
    }

    /// Elements that are cached of a token in a layer: the latent and the rotated key.
    pub fn cached(&self) -> usize {
        self.rank + self.rope
    }

    /// Elements that keys and values of all heads would take.
    pub fn expanded(&self) -> usize {
        self.heads * (self.nope + self.rope + self.value)
    }

    /// Query tokens from which on expanding a context of `context` tokens costs fewer products:
    /// `r (d_n + d_v) T / (T (2 r - d_n - d_v) + r (d_n + d_v))`. `None` if it never does.
    pub fn crossover(&self, context: usize) -> Option<f64> {
        let (rank, heads) = (self.rank as f64, (self.nope + self.value) as f64);
        let context = context as f64;
        let denominator = context * (2.0 * rank - heads) + rank * heads;
        (denominator > 0.0).then(|| rank * heads * context / denominator)
    }
}

impl From<&LatentAttention> for Dimensions {
    fn from(attention: &LatentAttention) -> Self {
        Self {
            heads: attention.heads,
            rank: attention.rank,
            nope: attention.nope_dim,
            rope: attention.rope_dim,
            value: attention.value_dim,
        }
    }
}

/// A latent cache that was filled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatentSize {
    /// Tokens that were read.
    pub tokens: usize,
    /// Layers that cache.
    pub layers: usize,
    /// Format of the cache.
    pub format: CacheFormat,
    /// Elements cached of a token in a layer, as the graph says.
    pub elements: usize,
    /// Elements that keys and values of all heads would take.
    pub expanded_elements: usize,
    /// Bytes of cache by the plan.
    pub planned: u64,
    /// Bytes of cache in use when the tokens had been read.
    pub measured: u64,
    /// Bytes that keys and values of all heads would take, in the same format.
    pub expanded: u64,
    /// Prompt tokens a second while it was filled.
    pub prefill: f64,
}

impl LatentSize {
    /// How many times as large the expanded cache would be.
    pub fn ratio(&self) -> f64 {
        self.expanded_elements as f64 / self.elements as f64
    }

    /// Fills a cache with `tokens`.
    pub(super) fn measure(
        subject: &Subject,
        dimensions: &Dimensions,
        tokens: &[u32],
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<Self> {
        let options = SessionOptions {
            context: tokens.len(),
            chunk: CHUNK.min(tokens.len()),
            output_rows: 1,
            ..SessionOptions::default()
        };
        let planned = subject.plan(&options)?.cache;
        let mut session = subject.program.clone().open(&options)?;
        let sequence = session.cache().create()?;
        let mut outputs = Outputs::default();
        let start = std::time::Instant::now();
        for (index, chunk) in tokens.chunks(options.chunk).enumerate() {
            let (done, total) = (index * options.chunk, tokens.len());
            progress(Progress { done, total, what: "filling the cache" });
            read(session.as_mut(), sequence, chunk, options.chunk, &mut outputs)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let slots = &subject.program.graph().cache.slots;
        let elements = slots.first().map_or(0, |slot| slot.elements().0);
        let row = |elements| options.cache_type_k.row_bytes(elements).unwrap_or(0) as u64;
        Ok(Self {
            tokens: tokens.len(),
            layers: slots.len(),
            format: options.cache_type_k,
            elements,
            expanded_elements: dimensions.expanded(),
            planned,
            measured: session.cache().usage().bytes_used,
            expanded: row(dimensions.expanded()) * (slots.len() * tokens.len()) as u64,
            prefill: tokens.len() as f64 / seconds.max(1e-9),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LITE: Dimensions = Dimensions { heads: 16, rank: 512, nope: 128, rope: 64, value: 128 };

    #[test]
    fn deepseeks_widths_have_the_figures_of_the_paper() {
        assert_eq!((LITE.cached(), LITE.expanded()), (576, 5120));
        let far = LITE.crossover(1 << 40).unwrap();
        assert!((far - 512.0 * 256.0 / 768.0).abs() < 1e-3, "{far}");
        // A context of one token is expanded at once: there is less to expand than to absorb.
        let near = LITE.crossover(1).unwrap();
        assert!(near < 1.0, "{near}");
    }

    #[test]
    fn wide_heads_never_cross() {
        let wide = Dimensions { rank: 64, ..LITE };
        assert_eq!(wide.crossover(1 << 20), None);
    }
}
