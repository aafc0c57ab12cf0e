//! From the ops of a graph to what a step executes: weights found, kernels chosen, small tables
//! decoded.

use edgeformer_core::graph::{
    Attention, LatentAttention, Norm, Pool, RopeLayout, Unfold, Value, WeightId,
};
use edgeformer_core::{Error, Graph, Model, Op, Result, Weight, graph};

use super::fusion::{Fusion, Group};
use super::latent::UpProjections;
use super::linear::Linear;
use super::panels::Panels;
use super::part::{Part, Table};
use super::rope::RopeTable;
use super::schedule::Schedule;
use crate::kernels::Kernels;

/// An op, ready to run.
#[derive(Debug)]
pub(crate) enum Action {
    Embed {
        table: Table,
        scale: f32,
    },
    Position {
        table: Table,
        offset: usize,
    },
    AddRow(Vec<f32>),
    Unfold(Unfold),
    Prepend(Vec<f32>),
    /// Products of one value, each an output.
    Linears(Vec<Linear>),
    /// A product, added to the second input.
    Residual(Linear),
    Gated(Box<GatedPair>),
    Split {
        groups: usize,
        widths: Vec<usize>,
    },
    Concat,
    Norm(RowNorm),
    Rope {
        table: usize,
        rope: graph::Rope,
    },
    Attention {
        attention: Attention,
        rope: Option<QueryRope>,
    },
    LatentAttention {
        attention: LatentAttention,
        up: UpProjections,
        rope: Option<QueryRope>,
    },
    Activation(graph::Activation),
    Multiply,
    Add,
    Scale(f32),
    AdapterScale(graph::AdapterScale),
    SoftCap(f32),
    Experts(Box<Experts>),
    Pool(Pool),
}

/// A norm, ready to run.
#[derive(Debug)]
pub(crate) struct RowNorm {
    pub spec: Norm,
    pub weight: Option<Vec<f32>>,
    pub bias: Option<Vec<f32>>,
    /// Whether products take the rows in 8 bits: they are made in the same pass.
    pub quantize: bool,
}

/// `activation(gate x) * (up x)`, ready to run.
#[derive(Debug)]
pub(crate) struct GatedPair {
    pub gate: Linear,
    pub up: Linear,
    pub activation: graph::Activation,
}

/// How the queries of an attention op were turned by their positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueryRope {
    /// Which of the program's tables.
    pub table: usize,
    /// Columns of a head that turn.
    pub dims: usize,
    /// Which columns form a pair.
    pub layout: RopeLayout,
}

/// A mixture of experts, ready to run.
#[derive(Debug)]
pub(crate) struct Experts {
    pub spec: graph::Experts,
    pub router: Linear,
    pub selection_bias: Option<Vec<f32>>,
    pub experts: Vec<Expert>,
}

/// One expert's matrices.
#[derive(Debug)]
pub(crate) struct Expert {
    pub inner: GatedPair,
    pub down: Linear,
}

/// A step of a program.
#[derive(Debug)]
pub(crate) struct Instruction {
    pub action: Action,
    pub inputs: Vec<Value>,
    pub outputs: Vec<Value>,
    /// The input whose memory the output takes over.
    pub takes_over: Option<usize>,
    /// The weights that the first input is multiplied with.
    pub weights: Vec<WeightId>,
}

/// The steps of a program, and the distinct ropes among them.
#[derive(Debug)]
pub(crate) struct Code {
    pub instructions: Vec<Instruction>,
    pub ropes: Vec<RopeTable>,
}

impl Code {
    pub fn new(
        model: &Model,
        schedule: &Schedule,
        kernels: &'static Kernels,
        panels: &Panels,
        threads: usize,
    ) -> Result<Self> {
        let mut compiler = Compiler { model, kernels, panels, threads, ropes: Vec::new() };
        let mut instructions = Vec::with_capacity(schedule.steps.len());
        for step in &schedule.steps {
            instructions.push(Instruction {
                action: compiler.step(&step.group)?,
                inputs: step.group.inputs.clone(),
                outputs: step.group.outputs.clone(),
                takes_over: step.takes_over,
                weights: multiplied(&model.graph, &step.group),
            });
        }
        quantize_in_norms(&mut instructions);
        Ok(Self { instructions, ropes: compiler.ropes })
    }
}

/// The weights that a step's first input is multiplied with.
fn multiplied(graph: &Graph, group: &Group) -> Vec<WeightId> {
    let weight = |&node: &usize| match &graph.nodes[node].op {
        Op::Linear { weight, .. } => Some(*weight),
        Op::Experts(experts) => Some(experts.router),
        _ => None,
    };
    group.nodes.iter().filter_map(weight).collect()
}

/// The distinct ropes of a graph, in the order in which [`Code`] numbers them.
pub(crate) fn rope_tables(graph: &Graph, schedule: &Schedule) -> Vec<RopeTable> {
    let mut tables = Vec::new();
    for node in schedule.nodes(graph) {
        if let (Op::Rope(rope), Some(input)) = (&node.op, node.inputs.first()) {
            RopeTable::find(&mut tables, rope, graph.values[input.index()].rows);
        }
    }
    tables
}

/// Marks the norms whose rows the next step takes in 8 bits.
fn quantize_in_norms(instructions: &mut [Instruction]) {
    for next in 1..instructions.len() {
        let (before, behind) = instructions.split_at_mut(next);
        let (norm, reader) = (&mut before[next - 1], &behind[0]);
        if let Action::Norm(row_norm) = &mut norm.action {
            let read = reader.inputs.first() == norm.outputs.first();
            row_norm.quantize = row_norm.spec.groups == 1 && read && reader.action.wants_q8();
        }
    }
}

impl Action {
    /// Whether it takes its first input in 8 bits.
    fn wants_q8(&self) -> bool {
        match self {
            Self::Linears(linears) => linears.iter().any(Linear::wants_q8),
            Self::Residual(linear) => linear.wants_q8(),
            Self::Gated(pair) => pair.wants_q8(),
            _ => false,
        }
    }
}

impl GatedPair {
    /// Whether one of the two takes rows in 8 bits.
    pub fn wants_q8(&self) -> bool {
        self.gate.wants_q8() || self.up.wants_q8()
    }
}

struct Compiler<'a> {
    model: &'a Model,
    kernels: &'static Kernels,
    panels: &'a Panels,
    threads: usize,
    ropes: Vec<RopeTable>,
}

impl Compiler<'_> {
    fn step(&mut self, group: &Group) -> Result<Action> {
        let graph = &self.model.graph;
        let op = |index: usize| &graph.nodes[group.nodes[index]].op;
        Ok(match group.fusion {
            Fusion::Alone => self.action(op(0), &group.inputs)?,
            Fusion::Siblings => {
                let linears = (0..group.nodes.len()).map(|index| self.linear_of(op(index)));
                Action::Linears(linears.collect::<Result<_>>()?)
            }
            Fusion::Residual => Action::Residual(self.linear_of(op(0))?),
            Fusion::Gated => {
                let &Op::Activation(activation) = op(1) else {
                    return Err(self.problem("a gate without activation".into()));
                };
                let (gate, up) = (self.linear_of(op(0))?, self.linear_of(op(2))?);
                Action::Gated(Box::new(GatedPair { gate, up, activation }))
            }
        })
    }

    fn action(&mut self, op: &Op, inputs: &[Value]) -> Result<Action> {
        Ok(match op {
            &Op::Embed { table, scale } => Action::Embed { table: self.table(table)?, scale },
            &Op::Position { table, offset } => {
                Action::Position { table: self.table(table)?, offset }
            }
            &Op::AddRow { table, index } => Action::AddRow(self.row(table, index)?),
            Op::Unfold(unfold) => Action::Unfold(*unfold),
            Op::Prepend { rows } => Action::Prepend(self.weight(*rows)?.to_f32()),
            Op::Linear { .. } => Action::Linears(vec![self.linear_of(op)?]),
            Op::Split { groups, widths } => {
                Action::Split { groups: *groups, widths: widths.clone() }
            }
            Op::Concat => Action::Concat,
            Op::Norm(norm) => Action::Norm(RowNorm {
                spec: *norm,
                weight: self.vector(norm.weight)?,
                bias: self.vector(norm.bias)?,
                quantize: false,
            }),
            Op::Rope(rope) => {
                let rows = inputs.first().map(|value| self.model.graph.values[value.index()].rows);
                let rows = rows.ok_or_else(|| self.problem("a rope of nothing".into()))?;
                let table = RopeTable::find(&mut self.ropes, rope, rows);
                Action::Rope { table, rope: rope.clone() }
            }
            Op::Attention(attention) => {
                let rope = inputs.first().and_then(|&queries| self.query_rope(queries));
                Action::Attention { attention: *attention, rope }
            }
            Op::LatentAttention(attention) => Action::LatentAttention {
                attention: *attention,
                rope: inputs.get(1).and_then(|&rotated| self.query_rope(rotated)),
                up: UpProjections::new(
                    attention,
                    &self.model.graph,
                    &self.model.weights,
                    self.kernels,
                )?,
            },
            Op::Activation(activation) => Action::Activation(*activation),
            Op::Multiply => Action::Multiply,
            Op::Add => Action::Add,
            Op::Scale { factor } => Action::Scale(*factor),
            Op::AdapterScale(scale) => Action::AdapterScale(*scale),
            Op::SoftCap { cap } => Action::SoftCap(*cap),
            Op::Experts(experts) => Action::Experts(Box::new(self.experts(experts)?)),
            Op::Pool(pool) => Action::Pool(*pool),
        })
    }

    fn linear_of(&self, op: &Op) -> Result<Linear> {
        match op {
            Op::Linear { weight, bias } => self.linear(*weight, self.vector(*bias)?),
            _ => Err(self.problem("a product was expected".into())),
        }
    }

    fn linear(&self, weight: WeightId, bias: Option<Vec<f32>>) -> Result<Linear> {
        let weight = self.weight(weight)?;
        Ok(Linear::new(self.kernels, self.panels, weight, bias, self.threads))
    }

    fn experts(&self, spec: &graph::Experts) -> Result<Experts> {
        let width = self.model.graph.weight(spec.gate).shape[2];
        let gates = self.stack(spec.gate, spec.width, spec.count)?;
        let ups = self.stack(spec.up, spec.width, spec.count)?;
        let downs = self.stack(spec.down, width, spec.count)?;
        let linear = |part: Part| Linear::of(vec![part], None, self.threads);
        let experts = gates.into_iter().zip(ups).zip(downs).map(|((gate, up), down)| Expert {
            inner: GatedPair { gate: linear(gate), up: linear(up), activation: spec.activation },
            down: linear(down),
        });
        Ok(Experts {
            spec: *spec,
            router: self.linear(spec.router, None)?,
            selection_bias: self.vector(spec.selection_bias)?,
            experts: experts.collect(),
        })
    }

    fn stack(&self, id: WeightId, rows: usize, count: usize) -> Result<Vec<Part>> {
        let stack = Part::stack(self.kernels, self.panels, self.weight(id)?, rows);
        if stack.len() == count {
            return Ok(stack);
        }
        let name = self.model.graph.weight(id).name.clone();
        let problem = format!("its parts are no whole experts: {} of {count}", stack.len());
        Err(Error::Weight { name, problem })
    }

    /// The rope that made `queries`, scaled since or not.
    fn query_rope(&self, queries: Value) -> Option<QueryRope> {
        let graph = &self.model.graph;
        let node = graph.nodes.iter().find(|node| node.outputs.contains(&queries))?;
        match &node.op {
            Op::Scale { .. } => self.query_rope(*node.inputs.first()?),
            Op::Rope(rope) => {
                let rows = graph.values[node.inputs.first()?.index()].rows;
                let table = RopeTable::position(&self.ropes, rope, rows)?;
                Some(QueryRope { table, dims: rope.dims, layout: rope.layout })
            }
            _ => None,
        }
    }

    fn weight(&self, id: WeightId) -> Result<&Weight> {
        self.model.weights.get(&self.model.graph.weight(id).name)
    }

    fn table(&self, id: WeightId) -> Result<Table> {
        Ok(Table::new(self.kernels, self.panels, self.weight(id)?))
    }

    fn row(&self, id: WeightId, index: usize) -> Result<Vec<f32>> {
        let mut row = vec![0.0; self.model.graph.weight(id).shape[1]];
        self.table(id)?.decode_row(index, &mut row);
        Ok(row)
    }

    fn vector(&self, id: Option<WeightId>) -> Result<Option<Vec<f32>>> {
        id.map(|id| Ok(self.weight(id)?.to_f32())).transpose()
    }

    fn problem(&self, problem: String) -> Error {
        Error::Graph { graph: self.model.graph.name.clone(), node: "compile".into(), problem }
    }
}
