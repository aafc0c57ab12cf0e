//! From the ops of a graph to what a step executes: weights found, kernels chosen, small tables
//! decoded.

use edgeformer_core::graph::{
    Attention, LatentAttention, Norm, Pool, RopeLayout, Unfold, Value, WeightId,
};
use edgeformer_core::{Error, Graph, Model, Op, Result, Weight, graph};

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
    Embed { table: Table, scale: f32 },
    Position { table: Table, offset: usize },
    AddRow(Vec<f32>),
    Unfold(Unfold),
    Prepend(Vec<f32>),
    Linear(Linear),
    Split { groups: usize, widths: Vec<usize> },
    Concat,
    Norm { norm: Norm, weight: Option<Vec<f32>>, bias: Option<Vec<f32>> },
    Rope { table: usize, rope: graph::Rope },
    Attention { attention: Attention, rope: Option<QueryRope> },
    LatentAttention { attention: LatentAttention, up: UpProjections, rope: Option<QueryRope> },
    Activation(graph::Activation),
    Multiply,
    Add,
    Scale(f32),
    SoftCap(f32),
    Experts(Box<Experts>),
    Pool(Pool),
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
    pub gate: Linear,
    pub up: Linear,
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
            let node = &model.graph.nodes[step.node];
            instructions.push(Instruction {
                action: compiler.action(&node.op, &node.inputs)?,
                inputs: node.inputs.clone(),
                outputs: node.outputs.clone(),
                takes_over: step.takes_over,
            });
        }
        Ok(Self { instructions, ropes: compiler.ropes })
    }
}

/// The distinct ropes of a graph, in the order in which [`Code`] numbers them.
pub(crate) fn rope_tables(graph: &Graph, schedule: &Schedule) -> Vec<RopeTable> {
    let mut tables = Vec::new();
    for step in &schedule.steps {
        let node = &graph.nodes[step.node];
        if let (Op::Rope(rope), Some(input)) = (&node.op, node.inputs.first()) {
            RopeTable::find(&mut tables, rope, graph.values[input.index()].rows);
        }
    }
    tables
}

struct Compiler<'a> {
    model: &'a Model,
    kernels: &'static Kernels,
    panels: &'a Panels,
    threads: usize,
    ropes: Vec<RopeTable>,
}

impl Compiler<'_> {
    fn action(&mut self, op: &Op, inputs: &[Value]) -> Result<Action> {
        Ok(match op {
            &Op::Embed { table, scale } => Action::Embed { table: self.table(table)?, scale },
            &Op::Position { table, offset } => {
                Action::Position { table: self.table(table)?, offset }
            }
            &Op::AddRow { table, index } => Action::AddRow(self.row(table, index)?),
            Op::Unfold(unfold) => Action::Unfold(*unfold),
            Op::Prepend { rows } => Action::Prepend(self.weight(*rows)?.to_f32()),
            Op::Linear { weight, bias } => {
                let bias = self.vector(*bias)?;
                Action::Linear(self.linear(*weight, bias)?)
            }
            Op::Split { groups, widths } => {
                Action::Split { groups: *groups, widths: widths.clone() }
            }
            Op::Concat => Action::Concat,
            Op::Norm(norm) => Action::Norm {
                norm: *norm,
                weight: self.vector(norm.weight)?,
                bias: self.vector(norm.bias)?,
            },
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
            Op::SoftCap { cap } => Action::SoftCap(*cap),
            Op::Experts(experts) => Action::Experts(Box::new(self.experts(experts)?)),
            Op::Pool(pool) => Action::Pool(*pool),
        })
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
            gate: linear(gate),
            up: linear(up),
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
