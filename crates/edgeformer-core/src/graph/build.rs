use super::infer::Scope;
use super::op::{
    Activation, AdapterScale, Attention, CacheSlot, Experts, LatentAttention, Mask, Norm, NormKind,
    Op, Pool, Unfold,
};
use super::rope::Rope;
use super::value::{Value, ValueInfo, WeightId, WeightInfo};
use super::{CachePlan, Graph, GraphInput, GraphOutput, Node, OutputKind, SlotPlan};
use crate::{Error, Result};

/// Builds a [`Graph`] op by op. Every method infers the shapes of what it adds and fails where
/// they do not fit, naming the node.
///
/// Weights are declared by name and shape on first use; the same name again is the same weight
/// (tied embeddings).
#[derive(Debug)]
pub struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    /// An empty graph over an input.
    pub fn new(name: impl Into<String>, input: GraphInput) -> Self {
        let output = GraphOutput { kind: OutputKind::HiddenStates, value: Value(0) };
        let (nodes, values, weights) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            graph: Graph {
                name: name.into(),
                input,
                nodes,
                values,
                weights,
                output,
                cache: CachePlan::default(),
            },
        }
    }

    /// A graph without nodes that has the input, the weights (with their ids) and the cache of
    /// another.
    pub(super) fn over_weights_of(graph: &Graph) -> Self {
        Self { graph: Graph { nodes: Vec::new(), values: Vec::new(), ..graph.clone() } }
    }

    /// The graph's name.
    pub(super) fn name(&self) -> &str {
        &self.graph.name
    }

    /// The weight of that name, if it was declared.
    pub fn weight_id(&self, name: &str) -> Option<WeightId> {
        self.graph.weight_id(name)
    }

    /// The weight of that name, declared with that shape if it is new.
    ///
    /// # Errors
    /// If it is known with another shape.
    pub fn weight(&mut self, name: impl Into<String>, shape: &[usize]) -> Result<WeightId> {
        let name = name.into();
        let weights = &mut self.graph.weights;
        // Lookups are few (a dozen a layer) and graphs small: no map.
        if let Some(index) = weights.iter().position(|info| info.name == name) {
            if weights[index].shape == shape {
                return Ok(WeightId(index as u32));
            }
            let problem = format!("is used with shape {:?} and {shape:?}", weights[index].shape);
            return Err(Error::Weight { name, problem });
        }
        weights.push(WeightInfo { name, shape: shape.to_vec() });
        Ok(WeightId(weights.len() as u32 - 1))
    }

    /// Adds an op and returns its outputs.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn push(&mut self, op: Op, inputs: &[Value]) -> Result<Vec<Value>> {
        let node = format!("{} {}", self.graph.nodes.len(), op.name());
        let graph = &self.graph;
        let problem =
            |problem| Error::Graph { graph: graph.name.clone(), node: node.clone(), problem };
        let shapes = inputs
            .iter()
            .map(|value| {
                graph
                    .values
                    .get(value.index())
                    .copied()
                    .ok_or_else(|| problem(format!("reads {value} before it is made")))
            })
            .collect::<Result<Vec<ValueInfo>>>()?;
        let weights =
            |id: WeightId| graph.weights.get(id.index()).map(|info| info.shape.as_slice());
        let scope = Scope { input: graph.input, weights: &weights, cache: &graph.cache };
        let made = scope.infer(&op, &shapes).map_err(problem)?;

        let first = self.graph.values.len() as u32;
        let outputs: Vec<_> = (first..).take(made.len()).map(Value).collect();
        self.graph.values.extend(made);
        self.graph.nodes.push(Node { op, inputs: inputs.to_vec(), outputs: outputs.clone() });
        Ok(outputs)
    }

    fn push_one(&mut self, op: Op, inputs: &[Value]) -> Result<Value> {
        Ok(self.push(op, inputs)?[0])
    }

    /// Columns of a value.
    pub fn width(&self, value: Value) -> usize {
        self.graph.width(value)
    }

    /// [`Op::Embed`] with the table `name` `[vocabulary, width]`.
    pub fn embed(&mut self, name: &str, width: usize, scale: f32) -> Result<Value> {
        let table = self.weight(name, &[self.graph.vocabulary(), width])?;
        self.push_one(Op::Embed { table, scale }, &[])
    }

    /// [`Op::Position`] with the table `name` of `rows` positions.
    pub fn position(&mut self, x: Value, name: &str, rows: usize, offset: usize) -> Result<Value> {
        let table = self.weight(name, &[rows, self.width(x)])?;
        self.push_one(Op::Position { table, offset }, &[x])
    }

    /// [`Op::AddRow`] of row `index` of the table `name` with `rows` rows.
    pub fn add_row(&mut self, x: Value, name: &str, rows: usize, index: usize) -> Result<Value> {
        let table = self.weight(name, &[rows, self.width(x)])?;
        self.push_one(Op::AddRow { table, index }, &[x])
    }

    /// [`Op::Unfold`] of the graph's input.
    pub fn unfold(&mut self, unfold: Unfold) -> Result<Value> {
        self.push_one(Op::Unfold(unfold), &[])
    }

    /// [`Op::Prepend`] of the `count` rows of the weight `name`.
    pub fn prepend(&mut self, x: Value, name: &str, count: usize) -> Result<Value> {
        let rows = self.weight(name, &[count, self.width(x)])?;
        self.push_one(Op::Prepend { rows }, &[x])
    }

    /// [`Op::Linear`] to `out` columns with the weights `{name}.weight` and, if `bias`, `{name}.bias`.
    pub fn linear(&mut self, x: Value, name: &str, out: usize, bias: bool) -> Result<Value> {
        let weight = self.weight(format!("{name}.weight"), &[out, self.width(x)])?;
        let bias = bias.then(|| self.weight(format!("{name}.bias"), &[out])).transpose()?;
        self.push_one(Op::Linear { weight, bias }, &[x])
    }

    /// [`Op::Split`] into these widths.
    pub fn split<const N: usize>(&mut self, x: Value, widths: [usize; N]) -> Result<[Value; N]> {
        self.split_heads(x, 1, widths)
    }

    /// [`Op::Split`] of each of `heads` heads into these widths.
    pub fn split_heads<const N: usize>(
        &mut self,
        x: Value,
        heads: usize,
        widths: [usize; N],
    ) -> Result<[Value; N]> {
        let outputs = self.push(Op::Split { groups: heads, widths: widths.to_vec() }, &[x])?;
        Ok(std::array::from_fn(|index| outputs[index]))
    }

    /// [`Op::Concat`] of several values.
    pub fn concat(&mut self, values: &[Value]) -> Result<Value> {
        self.push_one(Op::Concat, values)
    }

    /// A root-mean-square [`Op::Norm`] of whole rows with `{name}.weight`.
    pub fn rms_norm(
        &mut self,
        x: Value,
        name: &str,
        eps: f32,
        weight_offset: f32,
    ) -> Result<Value> {
        self.head_norm(x, name, 1, eps, weight_offset)
    }

    /// A root-mean-square [`Op::Norm`] of each of `heads` heads with the one `{name}.weight`.
    pub fn head_norm(
        &mut self,
        x: Value,
        name: &str,
        heads: usize,
        eps: f32,
        weight_offset: f32,
    ) -> Result<Value> {
        let width = self.width(x) / heads.max(1);
        let weight = Some(self.weight(format!("{name}.weight"), &[width])?);
        let norm =
            Norm { kind: NormKind::Rms, groups: heads, weight, bias: None, eps, weight_offset };
        self.push_one(Op::Norm(norm), &[x])
    }

    /// A layer [`Op::Norm`] with `{name}.weight` and `{name}.bias`.
    pub fn layer_norm(&mut self, x: Value, name: &str, eps: f32) -> Result<Value> {
        let width = self.width(x);
        let weight = Some(self.weight(format!("{name}.weight"), &[width])?);
        let bias = Some(self.weight(format!("{name}.bias"), &[width])?);
        let norm = Norm { kind: NormKind::Layer, groups: 1, weight, bias, eps, weight_offset: 0.0 };
        self.push_one(Op::Norm(norm), &[x])
    }

    /// [`Op::Rope`].
    pub fn rope(&mut self, x: Value, rope: Rope) -> Result<Value> {
        self.push_one(Op::Rope(rope), &[x])
    }

    /// [`Op::Attention`]. A causal one gets a cache slot of its own; `attention.slot` is ignored.
    pub fn attention(
        &mut self,
        q: Value,
        k: Value,
        v: Value,
        mut attention: Attention,
    ) -> Result<Value> {
        let Attention { kv_heads: heads, key_dim, value_dim, window, .. } = attention;
        attention.slot = match attention.mask {
            Mask::Bidirectional => None,
            Mask::Causal => {
                Some(self.cache_slot(SlotPlan::KeyValue { heads, key_dim, value_dim, window }))
            }
        };
        self.push_one(Op::Attention(attention), &[q, k, v])
    }

    /// [`Op::LatentAttention`] over `[q_nope, q_rope, latent, k_rope]`, with a cache slot of its
    /// own; `attention.slot` is ignored.
    pub fn latent_attention(
        &mut self,
        inputs: [Value; 4],
        mut attention: LatentAttention,
    ) -> Result<Value> {
        let LatentAttention { rank, rope_dim, .. } = attention;
        attention.slot = self.cache_slot(SlotPlan::Latent { rank, rope_dim });
        self.push_one(Op::LatentAttention(attention), &inputs)
    }

    fn cache_slot(&mut self, plan: SlotPlan) -> CacheSlot {
        self.graph.cache.slots.push(plan);
        CacheSlot(self.graph.cache.slots.len() as u32 - 1)
    }

    /// [`Op::Activation`].
    pub fn activation(&mut self, x: Value, activation: Activation) -> Result<Value> {
        self.push_one(Op::Activation(activation), &[x])
    }

    /// [`Op::Multiply`].
    pub fn multiply(&mut self, a: Value, b: Value) -> Result<Value> {
        self.push_one(Op::Multiply, &[a, b])
    }

    /// [`Op::Add`].
    pub fn add(&mut self, a: Value, b: Value) -> Result<Value> {
        self.push_one(Op::Add, &[a, b])
    }

    /// [`Op::Scale`].
    pub fn scale(&mut self, x: Value, factor: f32) -> Result<Value> {
        self.push_one(Op::Scale { factor }, &[x])
    }

    /// [`Op::AdapterScale`].
    pub fn adapter_scale(&mut self, x: Value, scale: AdapterScale) -> Result<Value> {
        self.push_one(Op::AdapterScale(scale), &[x])
    }

    /// [`Op::SoftCap`].
    pub fn soft_cap(&mut self, x: Value, cap: f32) -> Result<Value> {
        self.push_one(Op::SoftCap { cap }, &[x])
    }

    /// [`Op::Experts`].
    pub fn experts(&mut self, x: Value, experts: Experts) -> Result<Value> {
        self.push_one(Op::Experts(experts), &[x])
    }

    /// [`Op::Pool`].
    pub fn pool(&mut self, x: Value, pool: Pool) -> Result<Value> {
        self.push_one(Op::Pool(pool), &[x])
    }

    /// The graph whose output is `value`.
    ///
    /// # Errors
    /// If no op was added, or `value` is not of this graph.
    pub fn finish(mut self, kind: OutputKind, value: Value) -> Result<Graph> {
        self.graph.output = GraphOutput { kind, value };
        self.graph.check()?;
        Ok(self.graph)
    }
}
