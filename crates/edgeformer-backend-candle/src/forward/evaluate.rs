use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;
use edgeformer_core::graph::{Node, Op, RowKind};

use super::places::{Places, Rows};
use super::rope::Turns;
use super::{Call, Past, activation, input, norm, rows};
use crate::error::Result;

/// The wanted rows of the output; `None` if none is.
pub(crate) fn evaluate(call: &Call<'_>, past: &mut dyn Past) -> Result<Option<Tensor>> {
    let mut values = Values::none(call);
    let nodes = 0..call.graph.nodes.len();
    match values.evaluate(call, past, nodes)? {
        Reached::End => values.output(call),
        Reached::NothingWanted => Ok(None),
    }
}

/// How far an evaluation came.
#[derive(PartialEq, Eq)]
pub(super) enum Reached {
    /// The end of the nodes that it was asked for.
    End,
    /// Caches are filled, and no row behind is wanted.
    NothingWanted,
}

/// What nodes have made and others will read.
#[derive(Clone)]
pub(super) struct Values {
    made: Vec<Option<Rows>>,
    /// For every value the last node that reads it.
    last_use: Vec<usize>,
    /// The last node that mixes rows.
    mixes: Option<usize>,
}

impl Values {
    /// Before the first node.
    pub fn none(call: &Call<'_>) -> Self {
        let graph = call.graph;
        let mixes = graph.nodes.iter().rposition(|node| node.op.mixes_rows());
        Self { made: vec![None; graph.values.len()], last_use: last_uses(call), mixes }
    }

    /// Those that are alive.
    pub fn alive(&mut self) -> impl Iterator<Item = &mut Rows> {
        self.made.iter_mut().flatten()
    }

    /// Goes through some nodes, in the graph's order.
    pub fn evaluate(
        &mut self,
        call: &Call<'_>,
        past: &mut dyn Past,
        nodes: Range<usize>,
    ) -> Result<Reached> {
        let mut evaluator = Evaluator { call, past, turns: Turns::new(&call.setting.ropes) };
        for (index, node) in nodes.clone().zip(&call.graph.nodes[nodes]) {
            let last_mix = Some(index) == self.mixes;
            let made = evaluator.node(index, node, &self.made, last_mix)?;
            if last_mix && wants_nothing(call) {
                // The caches are filled: nobody looks at the rest.
                return Ok(Reached::NothingWanted);
            }
            for (value, rows) in node.outputs.iter().zip(made) {
                self.made[value.index()] = Some(rows);
            }
            for value in node.inputs.iter().chain(&node.outputs) {
                if self.last_use[value.index()] <= index {
                    self.made[value.index()] = None;
                }
            }
            if last_mix {
                narrow(call, &mut self.made)?;
            }
        }
        Ok(Reached::End)
    }

    /// The wanted rows of the output, behind the last node.
    pub fn output(mut self, call: &Call<'_>) -> Result<Option<Tensor>> {
        let output = self.made[call.graph.output.value.index()].take();
        let Some(output) = output.filter(|_| !wants_nothing(call)) else { return Ok(None) };
        match self.mixes {
            Some(_) => Ok(Some(output.x)),
            None => Ok(Some(output.narrowed(call.wanted)?.x)),
        }
    }
}

fn wants_nothing(call: &Call<'_>) -> bool {
    call.wanted.iter().all(|wanted| wanted.is_empty())
}

/// Behind the last op that mixes rows, only the wanted ones are computed.
fn narrow(call: &Call<'_>, values: &mut [Option<Rows>]) -> Result<()> {
    let kind = |index: usize| call.graph.values[index].rows;
    let wanted_kind = kind(call.graph.output.value.index());
    let full = |kind: RowKind, rows: &Rows| {
        match kind {
        RowKind::Token => rows.at.spans().iter().zip(call.inputs).all(|(span, input)| {
            matches!(input, edgeformer_core::Input::Tokens(tokens) if tokens.len() == span.1)
        }),
        RowKind::Patch(count) => rows.at.spans().iter().all(|span| span.1 == count),
        RowKind::Sequence => rows.at.spans().iter().all(|span| span.1 == 1),
    }
    };
    for (index, value) in values.iter_mut().enumerate() {
        let Some(rows) = value.as_mut() else { continue };
        if kind(index) == wanted_kind && full(wanted_kind, rows) {
            *rows = rows.narrowed(call.wanted)?;
        }
    }
    Ok(())
}

/// For every value the last node that reads it; the output is read at the end.
fn last_uses(call: &Call<'_>) -> Vec<usize> {
    let mut last = vec![0; call.graph.values.len()];
    for (index, node) in call.graph.nodes.iter().enumerate() {
        for value in node.inputs.iter().chain(&node.outputs) {
            last[value.index()] = index;
        }
    }
    last[call.graph.output.value.index()] = usize::MAX;
    last
}

/// What goes through the nodes of one call.
pub(super) struct Evaluator<'a, 'b> {
    pub call: &'a Call<'a>,
    pub past: &'b mut dyn Past,
    pub turns: Turns<'a>,
}

impl Evaluator<'_, '_> {
    /// The values that a node makes. Attention behind which no row is mixed computes the wanted
    /// queries alone.
    fn node(
        &mut self,
        index: usize,
        node: &Node,
        values: &[Option<Rows>],
        last_mix: bool,
    ) -> Result<Vec<Rows>> {
        let inputs: Vec<&Rows> = node
            .inputs
            .iter()
            .map(|value| {
                values[value.index()].as_ref().ok_or_else(|| {
                    crate::error::problem(format!("node {index} reads {value} too late")).into()
                })
            })
            .collect::<Result<_>>()?;
        let weights = self.call.weights;
        let wanted = last_mix.then_some(self.call.wanted);
        let made = match &node.op {
            Op::Embed { table, scale } => self.embed(*table, *scale)?,
            Op::Unfold(unfold) => self.unfold(unfold)?,
            Op::Position { table, offset } => {
                rows::position(inputs[0], &weights.dense(*table)?, *offset)?
            }
            Op::AddRow { table, index } => {
                let row = weights.dense(*table)?.narrow(0, *index, 1)?;
                inputs[0].with(inputs[0].x.broadcast_add(&row)?)
            }
            Op::Prepend { rows } => rows::prepend(inputs[0], &weights.dense(*rows)?)?,
            Op::Linear { weight, bias } => {
                let product = weights.product(&inputs[0].x, *weight)?;
                let bias = bias.map(|bias| weights.dense(bias)).transpose()?;
                inputs[0].with(match bias {
                    Some(bias) => product.broadcast_add(&bias)?,
                    None => product,
                })
            }
            Op::Split { groups, widths } => return rows::split(inputs[0], *groups, widths),
            Op::Concat => rows::concat(&inputs)?,
            Op::Norm(norm) => norm::norm(norm, weights, inputs[0])?,
            Op::Rope(rope) => self.rope(index, rope, inputs[0])?,
            Op::Attention(attention) => self.attention(attention, &inputs, wanted)?,
            Op::LatentAttention(attention) => self.latent(attention, &inputs, wanted)?,
            Op::Activation(activation) => {
                inputs[0].with(activation::activate(*activation, &inputs[0].x)?)
            }
            Op::Multiply => inputs[0].with(inputs[0].x.mul(&inputs[1].x)?),
            Op::Add => inputs[0].with(inputs[0].x.add(&inputs[1].x)?),
            Op::Scale { factor } => inputs[0].with(inputs[0].x.affine(f64::from(*factor), 0.0)?),
            Op::AdapterScale(scale) => rows::adapter_scale(inputs[0], scale, self.call.adapters)?,
            Op::SoftCap { cap } => inputs[0].with(activation::soft_cap(&inputs[0].x, *cap)?),
            Op::Experts(experts) => self.experts(experts, inputs[0])?,
            Op::Pool(pool) => rows::pool(*pool, inputs[0])?,
        };
        Ok(vec![made])
    }

    fn embed(&self, table: edgeformer_core::graph::WeightId, scale: f32) -> Result<Rows> {
        let tokens = input::tokens(self.call.inputs)?;
        let x = self.call.weights.embed(table, &tokens)?;
        let counts = self.call.inputs.iter().map(input::len);
        let at = Places::new(self.call.first.iter().copied().zip(counts));
        let x = if scale == 1.0 { x } else { x.affine(f64::from(scale), 0.0)? };
        Ok(Rows { x, at: Arc::new(at) })
    }

    fn unfold(&self, unfold: &edgeformer_core::graph::Unfold) -> Result<Rows> {
        let weights = self.call.weights;
        let (windows, count) = input::unfold(unfold, self.call.inputs)?;
        let rows = windows.len() / unfold.patch_len();
        let x = Tensor::from_vec(windows, (rows, unfold.patch_len()), weights.device())?;
        let at = Places::new(self.call.inputs.iter().map(|_| (0, count)));
        Ok(Rows { x: x.to_dtype(weights.dtype())?, at: Arc::new(at) })
    }
}
