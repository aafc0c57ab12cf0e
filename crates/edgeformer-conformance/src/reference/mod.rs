//! What a graph means: a plain evaluator in f64.
//!
//! One sequence, its whole input at once, no cache, no blocking, every op as its definition reads.
//! Slow, and the specification that backends are compared with.

mod attention;
mod backend;
mod experts;
mod latent;
mod matrix;
mod rows;
mod scales;
mod sight;

use edgeformer_core::graph::{CacheSlot, Node, Op, RowKind, Value, WeightId};
use edgeformer_core::{Error, Input, Model, Result, Visibility};

use sight::Sight;

pub use backend::ReferenceBackend;
pub use matrix::Matrix;
pub use scales::ScalesSince;

/// Evaluates a model's graph over the whole input of one sequence: the output rows.
///
/// `context` is the length that a session would be opened for; LongRoPE chooses its frequencies
/// by it.
///
/// # Errors
/// If a weight is missing, or the input is not of the graph's kind or outside its vocabulary.
pub fn evaluate(model: &Model, input: Input<'_>, context: usize) -> Result<Matrix> {
    evaluate_seeing(model, input, context, &Visibility::default())
}

/// The same where queries see less of the past than the model allows: windows and sinks. What
/// depends on attention itself (adaptive windows, chosen pages, eviction) is left out.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_seeing(
    model: &Model,
    input: Input<'_>,
    context: usize,
    visibility: &Visibility,
) -> Result<Matrix> {
    evaluate_scaled(model, input, context, visibility, &ScalesSince::default())
}

/// The same where adapters act as strongly as a sequence says.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_scaled(
    model: &Model,
    input: Input<'_>,
    context: usize,
    visibility: &Visibility,
    adapters: &ScalesSince,
) -> Result<Matrix> {
    let evaluator = Evaluator { model, input, context, visibility, adapters };
    let mut values: Vec<Matrix> = Vec::with_capacity(model.graph.values.len());
    for node in &model.graph.nodes {
        let made = evaluator.node(node, &values)?;
        values.extend(made);
    }
    Ok(values.swap_remove(model.graph.output.value.index()))
}

struct Evaluator<'a> {
    model: &'a Model,
    input: Input<'a>,
    context: usize,
    visibility: &'a Visibility,
    adapters: &'a ScalesSince,
}

impl Evaluator<'_> {
    /// The values that a node makes of earlier ones.
    fn node(&self, node: &Node, values: &[Matrix]) -> Result<Vec<Matrix>> {
        let inputs: Vec<&Matrix> = node.inputs.iter().map(|value| &values[value.index()]).collect();
        let x = || inputs[0];
        let made = match &node.op {
            Op::Embed { table, scale } => self.embed(*table, *scale)?,
            Op::Position { table, offset } => {
                let table = self.weight(*table)?;
                x().map_rows(|position, row| add(row, table.row(position + offset)))
            }
            Op::AddRow { table, index } => {
                let table = self.weight(*table)?;
                x().map_rows(|_, row| add(row, table.row(*index)))
            }
            Op::Unfold(unfold) => self.unfold(unfold)?,
            Op::Prepend { rows } => self.weight(*rows)?.below(x()),
            Op::Linear { weight, bias } => self.linear(x(), *weight, *bias)?,
            Op::Split { groups, widths } => return Ok(rows::split(x(), *groups, widths)),
            Op::Concat => rows::concat(&inputs),
            Op::Norm(norm) => self.norm(norm, x())?,
            Op::Rope(rope) => rows::rope(rope, self.context, x()),
            Op::Attention(attention) => {
                let sight = self.sight(attention.slot, attention.window, node.inputs[0]);
                attention::attend(attention, &sight, inputs[0], inputs[1], inputs[2])
            }
            Op::LatentAttention(attention) => {
                let sight = self.sight(Some(attention.slot), None, node.inputs[1]);
                self.latent(attention, &sight, &inputs)?
            }
            Op::Activation(activation) => x().map(|value| rows::activate(*activation, value)),
            Op::Multiply => x().map_rows(|index, row| multiply(row, inputs[1].row(index))),
            Op::Add => x().map_rows(|index, row| add(row, inputs[1].row(index))),
            Op::Scale { factor } => x().map(|value| value * f64::from(*factor)),
            Op::AdapterScale(scale) => {
                let by_token =
                    self.model.graph.values[node.inputs[0].index()].rows == RowKind::Token;
                x().map_rows(|row, values| {
                    let scales = self.adapters.at(if by_token { row } else { usize::MAX });
                    values.iter().map(|value| value * f64::from(scale.of(scales))).collect()
                })
            }
            Op::SoftCap { cap } => x().map(|value| rows::soft_cap(value, *cap)),
            Op::Experts(experts) => self.experts(experts, x())?,
            Op::Pool(pool) => rows::pool(*pool, x()),
        };
        Ok(vec![made])
    }

    fn sight(&self, slot: Option<CacheSlot>, window: Option<usize>, queries: Value) -> Sight<'_> {
        Sight::new(&self.model.graph, self.visibility, slot, window, queries, self.context)
    }

    /// A weight's elements as rows of its last dimension.
    fn weight(&self, id: WeightId) -> Result<Matrix> {
        let weight = self.model.weights.get(&self.model.graph.weight(id).name)?;
        let width = weight.shape().last().copied().unwrap_or(1);
        Ok(Matrix::new(weight.to_f32().into_iter().map(f64::from).collect(), width))
    }

    fn embed(&self, table: WeightId, scale: f32) -> Result<Matrix> {
        let Input::Tokens(tokens) = self.input else {
            return Err(Error::Step("the graph's input is text".into()));
        };
        let table = self.weight(table)?;
        let mut rows = Vec::new();
        for &token in tokens {
            if token as usize >= table.len() {
                return Err(Error::Token { token, vocabulary: table.len() });
            }
            rows.extend(table.row(token as usize).iter().map(|value| value * f64::from(scale)));
        }
        Ok(Matrix::new(rows, table.width()))
    }
}

fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn multiply(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}
