//! A graph of transformer ops as a graph of ONNX operators: one small file a group of ops.
//!
//! Rows of a value are `[batch, rows, width]`. Two targets differ in where positions and the cache
//! come from, nothing else:
//!
//! | | [`Target::Session`] | [`Target::File`] |
//! |---|---|---|
//! | cache | one buffer for past and present | `past_key_values.N.*` before, `present.N.*` behind |
//! | lengths | inputs of their own | from `attention_mask` |
//! | sines and cosines | inputs | constants |
//! | output | the rows that are asked for | all rows |

mod attention;
mod builder;
mod cache;
mod experts;
mod latent;
mod rope;
mod rows;
mod tokens;
mod vision;
mod weights;

use std::collections::BTreeMap;

use edgeformer_core::graph::{Rope, RowKind, Value};
use edgeformer_core::{Graph, Model, Op, Result};

use self::builder::{Builder, Name};
pub(crate) use self::rope::tables;
use crate::onnx::{Dim, Element, OnnxGraph};

/// What a graph is translated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// A session of ours, one sequence a run.
    Session,
    /// A file for any runtime.
    File,
}

/// The input that has a scale of each adapter.
pub(crate) const ADAPTER_SCALES: &str = "adapter_scales";

/// Choices of a translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Options {
    pub target: Target,
    /// Whether half floats stay so, and the runtime widens them: small files. A session's are
    /// widened once, for the runtime would do so in every run.
    pub in_place: bool,
    /// Whether latents become keys and values; otherwise queries go to the latents' space.
    pub expanded: bool,
    /// The most tokens that a query sees, where that is fewer than the model allows.
    pub window: Option<usize>,
    /// What the runtime's operator counts in a window.
    pub counts: Counts,
    /// Whether it keeps to widely known operators; see
    /// [`OnnxOptions::plain_operators`](crate::OnnxOptions::plain_operators).
    pub plain: bool,
}

/// What the window of the contributed operator counts: versions differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Counts {
    /// The query's own token too.
    Own,
    /// The tokens before it.
    Earlier,
    /// Nobody knows which runtime it will be: windows are plain.
    Unknown,
}

/// A translated graph with what its session has to know.
pub(crate) struct Translation {
    pub graph: OnnxGraph,
    /// What the inputs `cos.N` and `sin.N` are of.
    pub ropes: Vec<Rope>,
    /// How each slot of the cache is laid out.
    pub slots: Vec<Layout>,
}

/// How a slot's keys and values lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `[1, heads, capacity, width]`, as `GroupQueryAttention` has them.
    Heads(usize),
    /// `[capacity, width]`.
    Rows,
}

/// Translates a model whose graph and weights are checked.
pub(crate) fn translate(model: &Model, options: Options) -> Result<Translation> {
    let layouts = model.graph.cache.slots.iter().map(|_| Layout::Rows).collect();
    let mut translator = Translator {
        model,
        options,
        b: Builder::new(options.plain),
        values: BTreeMap::new(),
        last_mixing: last_mixing(&model.graph),
        behind: false,
        input_width: 0,
        ropes: Vec::new(),
        slots: layouts,
    };
    translator.run()?;
    let Translator { b, ropes, slots, .. } = translator;
    Ok(Translation { graph: b.graph, ropes, slots })
}

struct Translator<'a> {
    model: &'a Model,
    options: Options,
    b: Builder,
    /// Names of values; behind the last op that mixes rows, of those with the wanted rows alone.
    values: BTreeMap<(Value, bool), Name>,
    last_mixing: Option<usize>,
    /// Whether the node at hand lies behind it.
    behind: bool,
    /// Columns of the node's first input.
    input_width: usize,
    ropes: Vec<Rope>,
    slots: Vec<Layout>,
}

/// The last node that mixes rows, if a choice of output rows can be made behind it.
fn last_mixing(graph: &Graph) -> Option<usize> {
    let rows = graph.output_rows();
    if rows == RowKind::Sequence {
        return None;
    }
    graph.nodes.iter().rposition(|node| node.op.mixes_rows())
}

impl Translator<'_> {
    fn run(&mut self) -> Result<()> {
        let graph = &self.model.graph;
        self.b.graph.name = graph.name.clone();
        for (index, node) in graph.nodes.iter().enumerate() {
            self.b.scope = format!("{index}.{}", node.op.name());
            self.behind = self.chooses_rows() && self.last_mixing.is_some_and(|last| index > last);
            let made = self.node(&node.op, &node.inputs)?;
            for (&value, name) in node.outputs.iter().zip(made) {
                self.values.insert((value, self.behind), name);
            }
        }
        self.b.scope = "output".into();
        self.behind = self.chooses_rows();
        let output = self.value(graph.output.value);
        self.finish(&output);
        Ok(())
    }

    fn chooses_rows(&self) -> bool {
        let graph = &self.model.graph;
        let rows = graph.output_rows();
        self.options.target == Target::Session && rows != RowKind::Sequence
    }

    /// Name of a value with the rows that the node at hand needs.
    fn value(&mut self, value: Value) -> Name {
        if let Some(name) = self.values.get(&(value, self.behind)) {
            return name.clone();
        }
        let all = self.values[&(value, false)].clone();
        let rows = self.b.input("rows", Element::I64, &[Dim::Named("wanted_rows")]);
        let axis = vec![("axis", crate::onnx::Attribute::Int(1))];
        let name = self.b.op("Gather", &[&all, &rows], axis);
        self.values.insert((value, true), name.clone());
        name
    }

    fn finish(&mut self, output: &str) {
        let graph = &self.model.graph;
        let name = graph.output.kind.tensor_name();
        let info = graph.values[graph.output.value.index()];
        let width = Dim::Known(info.width);
        let rows = match (self.options.target, info.rows) {
            (_, RowKind::Sequence) => None,
            (Target::Session, _) => Some(Dim::Named("wanted_rows")),
            (Target::File, RowKind::Token) => Some(Dim::Named("sequence_length")),
            (Target::File, RowKind::Patch(count)) => Some(Dim::Known(count)),
        };
        let shape: Vec<Dim> = [self.batch()].into_iter().chain(rows).chain([width]).collect();
        // One row a sequence: `[batch, width]`, as elsewhere.
        match info.rows {
            RowKind::Sequence => {
                let squeezed = self.b.ints(&[0, info.width as i64]);
                let inputs = [output, &squeezed];
                self.b.named(
                    crate::onnx::Domain::Onnx,
                    "Reshape",
                    &inputs,
                    vec![name.into()],
                    vec![],
                );
            }
            _ => {
                let outputs = vec![name.into()];
                self.b.named(crate::onnx::Domain::Onnx, "Identity", &[output], outputs, vec![]);
            }
        }
        self.b
            .graph
            .outputs
            .insert(0, crate::onnx::Port { name: name.into(), element: Element::F32, shape });
    }

    fn batch(&self) -> Dim {
        match self.options.target {
            Target::Session => Dim::Known(1),
            Target::File => Dim::Named("batch_size"),
        }
    }

    fn node(&mut self, op: &Op, inputs: &[Value]) -> Result<Vec<Name>> {
        let kind = inputs.first().map(|value| self.model.graph.values[value.index()].rows);
        self.input_width = inputs.first().map_or(0, |&value| self.model.graph.width(value));
        let inputs: Vec<Name> = inputs.iter().map(|&value| self.value(value)).collect();
        let values: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let made = match op {
            Op::Embed { table, scale } => self.embed(*table, *scale)?,
            Op::Position { table, offset } => {
                self.position(values[0], kind.unwrap_or(RowKind::Token), *table, *offset)?
            }
            Op::AddRow { table, index } => self.add_row(values[0], *table, *index)?,
            Op::Unfold(unfold) => self.unfold(unfold)?,
            Op::Prepend { rows } => self.prepend(values[0], *rows)?,
            Op::Linear { weight, bias } => self.linear(values[0], *weight, *bias)?,
            Op::Split { groups, widths } => return Ok(self.split(values[0], *groups, widths)),
            Op::Concat => self.b.concat(&values, -1),
            Op::Norm(norm) => self.norm(values[0], norm)?,
            Op::Rope(rope) => self.rope(values[0], rope),
            Op::Attention(attention) => self.attention(&values, attention)?,
            Op::LatentAttention(attention) => self.latent_attention(&values, attention)?,
            Op::Activation(activation) => self.activation(values[0], *activation),
            Op::Multiply => self.b.op("Mul", &values, vec![]),
            Op::Add => self.b.op("Add", &values, vec![]),
            Op::Scale { factor } => self.scale(values[0], *factor),
            Op::AdapterScale(scale) => self.adapter_scale(values[0], scale),
            Op::SoftCap { cap } => self.soft_cap(values[0], *cap),
            Op::Experts(experts) => self.experts(values[0], experts)?,
            Op::Pool(pool) => self.pool(values[0], *pool),
        };
        Ok(vec![made])
    }
}

#[cfg(test)]
mod tests;
