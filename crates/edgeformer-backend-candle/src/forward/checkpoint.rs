//! Evaluation that keeps little for its gradients: the graph in segments, of which only what goes from
//! one to the next is kept. Backward each is evaluated again (Chen et al.: "Training deep nets with
//! sublinear memory cost", arXiv 1604.06174, section 3).

use std::ops::Range;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use edgeformer_core::{Graph, Input, SessionOptions};

use super::evaluate::Values;
use super::{Call, NoPast, Setting};
use crate::DeviceWeights;
use crate::error::{Result, problem};

/// Whole inputs on their way through a graph, as [`forward_rows`](super::forward_rows) has them.
pub struct Checkpointed<'a> {
    way: Way<'a>,
    /// Nodes, and what is alive before the first of them.
    segments: Vec<(Range<usize>, Values)>,
    /// What goes into the last segment, so that its gradients are found.
    into_last: Vec<Var>,
    output: Tensor,
}

/// What an evaluation needs, each time that it is done.
struct Way<'a> {
    graph: &'a Graph,
    weights: &'a DeviceWeights,
    inputs: &'a [Input<'a>],
    wanted: &'a [Range<usize>],
    setting: Setting,
    first: Vec<usize>,
}

impl std::fmt::Debug for Checkpointed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpointed")
            .field("segments", &self.segments.len())
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

impl<'a> Checkpointed<'a> {
    /// Evaluates the graph. What `forward_rows` would keep for gradients is kept of the last segment
    /// alone.
    ///
    /// # Errors
    /// As [`forward_rows`](super::forward_rows).
    ///
    /// # Panics
    /// If the weights are of another graph.
    pub fn forward(
        graph: &'a Graph,
        weights: &'a DeviceWeights,
        inputs: &'a [Input<'a>],
        wanted: &'a [Range<usize>],
        context: usize,
    ) -> edgeformer_core::Result<Self> {
        let options = SessionOptions { context, ..SessionOptions::default() };
        let setting = Setting::new(graph, &options)?;
        let first = vec![0; inputs.len()];
        let way = Way { graph, weights, inputs, wanted, setting, first };
        let (segments, into_last, output) = run(&way.call())?;
        Ok(Self { way, segments, into_last, output })
    }

    /// The wanted rows of the output, `[rows, width]`.
    pub fn output(&self) -> &Tensor {
        &self.output
    }

    /// The gradients of a scalar that was made of the output, segment by segment from the last on: a
    /// weight that several use has one in each.
    ///
    /// # Errors
    /// If candle fails, or what `take` returns.
    pub fn backward<E: From<edgeformer_core::Error>>(
        self,
        loss: Tensor,
        take: &mut dyn FnMut(&mut GradStore) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |error: crate::CandleError| E::from(error.into());
        let candle = |error: candle_core::Error| failed(error.into());
        let Self { way, mut segments, into_last, output } = self;
        let mut gradients = loss.backward().map_err(candle)?;
        segments.pop();
        take(&mut gradients)?;
        let mut given = given_to(&into_last, &mut gradients);
        // Neither they nor what led to them is needed any more.
        drop((loss, output, into_last, gradients));
        while let Some((nodes, values)) = segments.pop() {
            let made = way.again(nodes, values).map_err(failed)?;
            let Some(scalar) = along(&made.out, &given).map_err(candle)? else { break };
            let mut gradients = scalar.backward().map_err(candle)?;
            drop(scalar);
            take(&mut gradients)?;
            given = given_to(&made.inputs, &mut gradients);
        }
        Ok(())
    }
}

impl Way<'_> {
    fn call(&self) -> Call<'_> {
        let Self { graph, weights, inputs, wanted, setting, first } = self;
        Call { graph, weights, setting, inputs, first, adapters: &[], wanted }
    }

    fn again(&self, nodes: Range<usize>, mut values: Values) -> Result<Again> {
        let inputs = as_variables(&mut values)?;
        values.evaluate(&self.call(), &mut NoPast, nodes)?;
        Ok(Again { inputs, out: values.alive().map(|rows| rows.x.clone()).collect() })
    }
}

/// A segment that was evaluated again.
struct Again {
    inputs: Vec<Var>,
    out: Vec<Tensor>,
}

type Run = (Vec<(Range<usize>, Values)>, Vec<Var>, Tensor);

fn run(call: &Call<'_>) -> Result<Run> {
    let mut values = Values::none(call);
    let mut segments = Vec::new();
    let mut into_last = Vec::new();
    let all = segments_of(call.graph);
    for (index, nodes) in all.iter().enumerate() {
        segments.push((nodes.clone(), values.clone()));
        if index + 1 == all.len() {
            into_last = as_variables(&mut values)?;
        }
        values.evaluate(call, &mut NoPast, nodes.clone())?;
        if index + 1 < all.len() {
            // What led here is evaluated again when its gradients are asked for.
            values.alive().for_each(|rows| rows.x = rows.x.detach());
        }
    }
    let output = values.output(call)?;
    let output = output.ok_or_else(|| problem("no input is given, or no row is wanted"))?;
    Ok((segments, into_last, output))
}

/// Makes what is alive variables, whose gradients are found.
fn as_variables(values: &mut Values) -> Result<Vec<Var>> {
    let mut variables = Vec::new();
    for rows in values.alive() {
        let variable = Var::from_tensor(&rows.x)?;
        rows.x = variable.as_tensor().clone();
        variables.push(variable);
    }
    Ok(variables)
}

fn given_to(variables: &[Var], gradients: &mut GradStore) -> Vec<Option<Tensor>> {
    // They are computed from activations that are tracked, and would keep all of them.
    let mut detached =
        |variable: &Var| gradients.remove(variable).map(|gradient| gradient.detach());
    variables.iter().map(&mut detached).collect()
}

/// A scalar whose gradients are those that the outputs are given.
fn along(out: &[Tensor], given: &[Option<Tensor>]) -> candle_core::Result<Option<Tensor>> {
    let mut sum: Option<Tensor> = None;
    for (out, given) in out.iter().zip(given) {
        let Some(given) = given else { continue };
        let one = (out * given)?.sum_all()?;
        sum = Some(match sum {
            Some(sum) => (sum + one)?,
            None => one,
        });
    }
    Ok(sum)
}

/// The nodes of a graph, cut wherever a single value is alive: behind every residual sum.
pub(super) fn segments_of(graph: &Graph) -> Vec<Range<usize>> {
    let count = graph.nodes.len();
    let mut last_use = vec![0; graph.values.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|value| last_use[value.index()] = index);
    }
    let mut alive = 0i64;
    let mut cuts = vec![0];
    for (index, node) in graph.nodes.iter().enumerate() {
        alive += node.outputs.iter().filter(|value| last_use[value.index()] > index).count() as i64;
        let mut read: Vec<usize> = node.inputs.iter().map(|value| value.index()).collect();
        read.sort_unstable();
        read.dedup();
        alive -= read.iter().filter(|&&value| last_use[value] == index).count() as i64;
        // A segment of one node would keep as much as it saves.
        let long = cuts.last().is_none_or(|&cut| index + 1 - cut > 1);
        if alive == 1 && long && index + 1 < count {
            cuts.push(index + 1);
        }
    }
    cuts.push(count);
    cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}
