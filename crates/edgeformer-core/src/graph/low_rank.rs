//! Low-rank adapters as nodes: `y = x Wᵀ + b` becomes `y + scale · (x Aᵀ) Bᵀ` (LoRA, Hu et al.,
//! arXiv 2106.09685, section 4.1).
//!
//! Nothing else changes, so whatever runs, exports or differentiates a graph has adapters too, over
//! weights of any format.

use super::{AdapterScale, Graph, GraphBuilder, Node, Op, Value, WeightId};
use crate::{Error, Result};

/// A product to be added to that with a weight, as a graph sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct LowRankTerm {
    /// The weight `W`, `[out, in]`.
    pub weight: WeightId,
    /// Rows of `A` (`[rank, in]`), columns of `B` (`[out, rank]`).
    pub rank: usize,
    /// What the product is multiplied with.
    pub scale: f32,
    /// Where sequences choose how strongly it acts.
    pub choice: Option<AdapterChoice>,
}

/// An adapter whose scale is a matter of each sequence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdapterChoice {
    /// Which of the graph's adapters.
    pub adapter: usize,
    /// Its scale in sequences of which nothing else was said.
    pub usual: f32,
}

/// The names of the two weights that a term has brought into a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LowRankNames {
    /// That of `A`.
    pub a: String,
    /// That of `B`.
    pub b: String,
}

impl Graph {
    /// Whether a weight is the matrix of linear layers alone.
    ///
    /// # Errors
    /// The node that reads it otherwise.
    pub(crate) fn check_adaptable(&self, weight: WeightId) -> std::result::Result<(), String> {
        let other = self.nodes.iter().find(|node| match &node.op {
            Op::Linear { weight: matrix, bias } => *bias == Some(weight) && *matrix != weight,
            op => op.weights().contains(&weight),
        });
        match other {
            Some(node) => Err(format!("{} reads it, not a linear layer alone", node.op.name())),
            None => Ok(()),
        }
    }

    /// The graph with terms added to its linear layers, and what their weights are called, in the
    /// order of the terms: the weight's name with `.lora_a` and `.lora_b` behind it, and a number
    /// where an adapter before has taken that.
    ///
    /// # Errors
    /// If the graph is not well formed, or a rank is zero.
    pub fn with_low_rank(&self, terms: &[LowRankTerm]) -> Result<(Self, Vec<LowRankNames>)> {
        let mut rewriting = Rewriting::of(self, terms)?;
        self.nodes.iter().try_for_each(|node| rewriting.node(node))?;
        let output = rewriting.moved(self.output.value)?;
        let names = rewriting.names;
        Ok((rewriting.builder.finish(self.output.kind, output)?, names))
    }
}

/// A term whose weights are declared.
struct Declared {
    term: LowRankTerm,
    a: WeightId,
    b: WeightId,
}

/// A graph in the making from another.
struct Rewriting {
    builder: GraphBuilder,
    /// Where each value of the old graph is in the new one, in order.
    values: Vec<Value>,
    terms: Vec<Declared>,
    names: Vec<LowRankNames>,
}

impl Rewriting {
    fn of(graph: &Graph, terms: &[LowRankTerm]) -> Result<Self> {
        let mut builder = GraphBuilder::over_weights_of(graph);
        let (mut declared, mut names) = (Vec::new(), Vec::new());
        for term in terms {
            let info = graph.weight(term.weight);
            let &[out, columns] = info.shape.as_slice() else {
                let problem = format!("has shape {:?}, which is no matrix", info.shape);
                return Err(Error::Weight { name: info.name.clone(), problem });
            };
            let free = free_names(&builder, &info.name);
            let a = builder.weight(&free.a, &[term.rank, columns])?;
            let b = builder.weight(&free.b, &[out, term.rank])?;
            declared.push(Declared { term: term.clone(), a, b });
            names.push(free);
        }
        Ok(Self { builder, values: Vec::new(), terms: declared, names })
    }

    /// Where a value of the old graph is.
    fn moved(&self, value: Value) -> Result<Value> {
        let found = self.values.get(value.index()).copied();
        found.ok_or_else(|| Error::Graph {
            graph: self.builder.name().to_owned(),
            node: "end".into(),
            problem: format!("reads {value} before it is made"),
        })
    }

    fn node(&mut self, node: &Node) -> Result<()> {
        let inputs =
            node.inputs.iter().map(|&value| self.moved(value)).collect::<Result<Vec<_>>>()?;
        let mut made = self.builder.push(node.op.clone(), &inputs)?;
        if let Op::Linear { weight, .. } = node.op {
            made[0] = self.adapted(weight, inputs[0], made[0])?;
        }
        self.values.extend(made);
        Ok(())
    }

    /// `y` with the terms of a weight added, where it has any.
    fn adapted(&mut self, weight: WeightId, x: Value, mut y: Value) -> Result<Value> {
        for Declared { term, a, b } in self.terms.iter().filter(|it| it.term.weight == weight) {
            let mut narrow = self.builder.push(Op::Linear { weight: *a, bias: None }, &[x])?[0];
            // Between the two: that is where the rows are shortest.
            narrow = match term.choice {
                Some(AdapterChoice { adapter, usual }) => {
                    let scale = AdapterScale { adapter, factor: term.scale, usual };
                    self.builder.adapter_scale(narrow, scale)?
                }
                None if term.scale != 1.0 => self.builder.scale(narrow, term.scale)?,
                None => narrow,
            };
            let wide = self.builder.push(Op::Linear { weight: *b, bias: None }, &[narrow])?[0];
            y = self.builder.add(y, wide)?;
        }
        Ok(y)
    }
}

/// The first names of a term of `weight` that the graph does not have.
fn free_names(builder: &GraphBuilder, weight: &str) -> LowRankNames {
    let of = |number: usize| {
        let behind = if number == 1 { String::new() } else { format!(".{number}") };
        LowRankNames {
            a: format!("{weight}.lora_a{behind}"),
            b: format!("{weight}.lora_b{behind}"),
        }
    };
    let is_free = |names: &LowRankNames| {
        builder.weight_id(&names.a).is_none() && builder.weight_id(&names.b).is_none()
    };
    (1..).map(of).find(is_free).expect("a graph has finitely many weights")
}
