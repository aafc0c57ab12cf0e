//! The evaluation of a graph on tensors.
//!
//! Every op is composed of candle operations that have gradients; what keys and values a causal
//! attention sees is told by a [`Past`]: a session's cache, or nothing but the step itself.

mod activation;
mod attention;
mod checkpoint;
mod evaluate;
mod experts;
mod fused;
mod gradient_memory;
mod input;
mod latent;
mod norm;
mod places;
mod rope;
mod rows;
mod sight;
#[cfg(test)]
mod tests;

use std::ops::Range;

use candle_core::Tensor;
use edgeformer_core::graph::CacheSlot;
use edgeformer_core::{AdapterScales, Graph, Input, LatentForm, SessionOptions};

use crate::DeviceWeights;
use crate::error::Result;
pub(crate) use attention::{SCORES, TILE};
pub use checkpoint::Checkpointed;
pub(crate) use evaluate::evaluate;
pub use gradient_memory::{GradientBytes, GradientLoad, gradient_bytes};
pub(crate) use rope::Ropes;
pub(crate) use sight::Windows;

/// What a session fixes for all of its steps.
pub(crate) struct Setting {
    pub ropes: Ropes,
    pub windows: Windows,
    pub latent_form: LatentForm,
}

impl Setting {
    /// What the options of a session say.
    ///
    /// # Errors
    /// As [`Windows::new`].
    pub fn new(graph: &Graph, options: &SessionOptions) -> edgeformer_core::Result<Self> {
        Ok(Self {
            ropes: Ropes::new(graph, options.context),
            windows: Windows::new(graph, &options.visibility)?,
            latent_form: options.latent_form,
        })
    }
}

/// One evaluation.
pub(crate) struct Call<'a> {
    pub graph: &'a Graph,
    pub weights: &'a DeviceWeights,
    pub setting: &'a Setting,
    /// What goes in, one a sequence.
    pub inputs: &'a [Input<'a>],
    /// Position of the first token of each.
    pub first: &'a [usize],
    /// How strongly adapters act on each; behind the end of the list as usual.
    pub adapters: &'a [AdapterScales],
    /// Which of each one's output rows are wanted.
    pub wanted: &'a [Range<usize>],
}

/// Keys and values of one sequence, `[heads, tokens, dim]`: of all of its past and of the step.
pub(crate) struct Seen {
    pub keys: Tensor,
    /// None where latents are cached, which are their own values.
    pub values: Option<Tensor>,
}

/// What causal attention sees besides the step.
pub(crate) trait Past {
    /// Adds the step's keys and values of a sequence, `[heads, tokens, dim]`, and gives all there
    /// are. Called slot by slot in the graph's order, and for each slot sequence by sequence.
    fn extend(
        &mut self,
        slot: CacheSlot,
        sequence: usize,
        keys: Tensor,
        values: Option<Tensor>,
    ) -> Result<Seen>;

    /// Whether there is nothing but the step, whose sequences all begin with it.
    fn is_nothing(&self) -> bool {
        false
    }
}

/// Sequences begin with the step, and nothing is kept.
struct NoPast;

impl Past for NoPast {
    fn extend(
        &mut self,
        _: CacheSlot,
        _: usize,
        keys: Tensor,
        values: Option<Tensor>,
    ) -> Result<Seen> {
        Ok(Seen { keys: keys.contiguous()?, values: values.map(|v| v.contiguous()).transpose()? })
    }

    fn is_nothing(&self) -> bool {
        true
    }
}

/// The output rows of whole inputs, one after the other, without a cache: `[rows, width]`.
///
/// Gradients flow from it to every weight that is a [`Var`](candle_core::Var). `context` is what a
/// session would be opened for: LongRoPE chooses its factors by it.
///
/// # Errors
/// If an input is not of the graph's kind or a token is outside the vocabulary, or candle fails.
///
/// # Panics
/// If the weights are of another graph.
pub fn forward(
    graph: &Graph,
    weights: &DeviceWeights,
    inputs: &[Input<'_>],
    context: usize,
) -> edgeformer_core::Result<Tensor> {
    forward_rows(graph, weights, inputs, &vec![0..usize::MAX; inputs.len()], context)
}

/// As [`forward()`], of each input only the output rows that are `wanted`: no other goes through
/// what follows the last attention.
///
/// # Errors
/// As [`forward()`], and if no row is wanted.
///
/// # Panics
/// As [`forward()`].
pub fn forward_rows(
    graph: &Graph,
    weights: &DeviceWeights,
    inputs: &[Input<'_>],
    wanted: &[Range<usize>],
    context: usize,
) -> edgeformer_core::Result<Tensor> {
    let options = SessionOptions { context, ..SessionOptions::default() };
    let setting = Setting::new(graph, &options)?;
    let first = vec![0; inputs.len()];
    let setting = &setting;
    let call = Call { graph, weights, setting, inputs, first: &first, adapters: &[], wanted };
    let rows = evaluate(&call, &mut NoPast)?;
    rows.ok_or_else(|| crate::error::problem("no input is given, or no row is wanted"))
}
