//! The up-projections of latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1.2).
//!
//! Absorbed, a query goes up through a head's keys once, `q~ = W_UKᵀ q`, and is compared with
//! latents; what comes back goes up through the head's values once. Expanded, latents become keys
//! and values. `W_UK` is kept transposed for the first and serves the second row by row;
//! `W_q W_UK` is never multiplied out: it would be larger than both.

use edgeformer_core::graph::{LatentAttention, LatentUp};
use edgeformer_core::{Format, Graph, Result, Tensor, Weight, Weights};

use super::matrix::Matrix;
use crate::kernels::Kernels;

/// What the two forms of latent attention cost, by the multiplications they take.
///
/// With `S` queries of a head over `T` positions, absorbing takes `S r (n + v)` multiplications
/// between the spaces and `S T (2r + d)` with the latents; expanding takes `T r (n + v)` to make
/// keys and values and `S T (n + d + v)` with them. Equal costs put the crossover at
/// `S* = r (n + v) T / (T (2r - n - v) + r (n + v))`, 171 for DeepSeek's dimensions and long
/// contexts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LatentCost {
    /// Time of a multiplication with an up-projection.
    pub project: f64,
    /// Time of a multiplication with a cached or expanded row.
    pub attend: f64,
}

impl Default for LatentCost {
    fn default() -> Self {
        Self { project: 1.0, attend: 1.0 }
    }
}

impl LatentCost {
    /// Whether a span of `queries` rows that sees `context` positions is cheaper expanded.
    pub fn prefers_expanded(
        &self,
        attention: &LatentAttention,
        queries: usize,
        context: usize,
    ) -> bool {
        let [absorbed, expanded] = self.of_both(attention, queries as f64, context as f64);
        expanded < absorbed
    }

    /// From how many queries on a span that sees `context` positions is expanded.
    pub fn crossover(&self, attention: &LatentAttention, context: usize) -> Option<usize> {
        (1..=context).find(|&queries| self.prefers_expanded(attention, queries, context))
    }

    fn of_both(&self, attention: &LatentAttention, queries: f64, context: f64) -> [f64; 2] {
        let dims = [attention.rank, attention.nope_dim, attention.rope_dim, attention.value_dim];
        let [rank, nope, rope, value] = dims.map(|dim| dim as f64);
        let projected = rank * (nope + value) * self.project;
        let scores = queries * context * self.attend;
        let absorbed = queries * projected + scores * (2.0 * rank + rope);
        let expanded = context * projected + scores * (nope + rope + value);
        [absorbed, expanded]
    }
}

/// Up-projections, a matrix a head.
#[derive(Debug)]
pub(crate) struct UpProjections {
    /// `[rank, nope_dim]`: takes the positionless part of a query to the latents' space.
    pub keys: Vec<Matrix>,
    /// `[value_dim, rank]`: takes a mixture of latents to a value.
    pub values: Vec<Matrix>,
}

/// What becomes of the two up-projections: `None` if the file's bytes serve as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Prepared {
    keys: Option<Format>,
    values: Option<Format>,
}

impl Prepared {
    fn of(up: &LatentUp, graph: &Graph, weights: &Weights) -> Result<Self> {
        let get = |id| weights.get(&graph.weight(id).name);
        Ok(match *up {
            // The keys of a head are to be transposed.
            LatentUp::Fused { weight } => {
                let weight = get(weight)?;
                let whole = weight.parts().len() == 1;
                let values = decoded_format(weight).filter(|_| !(whole && all_float(weight)));
                Self { keys: decoded_format(weight), values }
            }
            LatentUp::Split { key, value } => {
                let unless_float =
                    |weight: &Weight| decoded_format(weight).filter(|_| !all_float(weight));
                Self { keys: unless_float(get(key)?), values: unless_float(get(value)?) }
            }
        })
    }
}

fn all_float(weight: &Weight) -> bool {
    weight.parts().iter().all(|part| part.format().is_float())
}

/// In which format decoded values are kept: f16 has the range of all formats but two.
fn decoded_format(weight: &Weight) -> Option<Format> {
    let wide = |part: &Tensor| matches!(part.format(), Format::F32 | Format::BF16);
    Some(if weight.parts().iter().any(wide) { Format::F32 } else { Format::F16 })
}

/// Bytes that [`UpProjections::new`] allocates.
pub(crate) fn prepared_bytes(
    attention: &LatentAttention,
    graph: &Graph,
    weights: &Weights,
) -> Result<u64> {
    let prepared = Prepared::of(&attention.up, graph, weights)?;
    let side = |format: Option<Format>, dim: usize| {
        let elements = (attention.heads * attention.rank * dim) as u64;
        elements * format.map_or(0, |format| format.block_bytes() as u64)
    };
    Ok(side(prepared.keys, attention.nope_dim) + side(prepared.values, attention.value_dim))
}

impl UpProjections {
    pub fn new(
        attention: &LatentAttention,
        graph: &Graph,
        weights: &Weights,
        kernels: &Kernels,
    ) -> Result<Self> {
        let &LatentAttention { heads, rank, nope_dim, value_dim, up, .. } = attention;
        let prepared = Prepared::of(&up, graph, weights)?;
        let get = |id| weights.get(&graph.weight(id).name);
        let own = |format: Format, columns: usize, values: &[f32]| -> Result<Weight> {
            let tensor = Tensor::quantize(format, [values.len() / columns, columns], values)?;
            Ok(Weight::whole(tensor))
        };
        let (keys, values) = match up {
            LatentUp::Fused { weight } => {
                let weight = get(weight)?;
                let all = weight.to_f32();
                let keys = transposed_keys(&all, attention);
                let keys = own(prepared.keys.unwrap_or(Format::F32), nope_dim, &keys)?;
                let per_head = nope_dim + value_dim;
                let values = match prepared.values {
                    None => Matrix::stack(kernels, weight, per_head)
                        .into_iter()
                        .map(|head| head.slice(nope_dim, value_dim))
                        .collect(),
                    Some(format) => {
                        let parts = all.chunks_exact(per_head * rank);
                        let values: Vec<f32> =
                            parts.flat_map(|head| head[nope_dim * rank..].to_vec()).collect();
                        Matrix::stack(kernels, &own(format, rank, &values)?, value_dim)
                    }
                };
                (Matrix::stack(kernels, &keys, rank), values)
            }
            LatentUp::Split { key, value } => {
                let decode = |weight: &Weight, format: Option<Format>, columns, rows| {
                    Ok(match format {
                        None => Matrix::stack(kernels, weight, rows),
                        Some(format) => {
                            Matrix::stack(kernels, &own(format, columns, &weight.to_f32())?, rows)
                        }
                    })
                };
                let keys: Result<_> = decode(get(key)?, prepared.keys, nope_dim, rank);
                (keys?, decode(get(value)?, prepared.values, rank, value_dim)?)
            }
        };
        debug_assert!(keys.len() == heads && values.len() == heads);
        Ok(Self { keys, values })
    }
}

/// Of `[heads, nope_dim + value_dim, rank]` the keys, as `[heads, rank, nope_dim]`.
fn transposed_keys(all: &[f32], attention: &LatentAttention) -> Vec<f32> {
    let &LatentAttention { rank, nope_dim, value_dim, .. } = attention;
    let mut keys = Vec::with_capacity(attention.heads * rank * nope_dim);
    for head in all.chunks_exact((nope_dim + value_dim) * rank) {
        for column in 0..rank {
            keys.extend((0..nope_dim).map(|row| head[row * rank + column]));
        }
    }
    keys
}
