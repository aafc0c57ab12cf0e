//! Mixtures of experts (arXiv 2401.06066): each expert gets the rows that its router sends to it
//! and no others, so that the weights of experts that nobody picked are not read.

use edgeformer_core::graph::{ExpertGroups, Experts, Scoring, WeightId};
use edgeformer_core::{Result, Tensor, Weight};

use super::Translator;
use super::builder::{Name, int};
use crate::onnx::{Attribute, Domain};

impl Translator<'_> {
    pub(super) fn experts(&mut self, x: &str, experts: &Experts) -> Result<Name> {
        let width = self.input_width;
        let flat = self.b.reshape(x, &[-1, width as i64]);
        let (mask, weights) = self.route(&flat, experts)?;
        // By expert, then by row: the order in which results are computed.
        let mask = self.b.transpose(&mask, &[1, 0]);
        let weights = self.b.transpose(&weights, &[1, 0]);
        let computed = self.each_expert(&flat, &mask, experts)?;

        let places = self.b.op("NonZero", &[&mask], vec![]);
        let pairs = self.b.transpose(&places, &[1, 0]);
        let weights = self.b.op("GatherND", &[&weights, &pairs], vec![]);
        let weights = self.b.reshape(&weights, &[-1, 1]);
        let weighed = self.b.op("Mul", &[&computed, &weights], vec![]);
        let order = self.by_row(&places);
        let ordered = self.b.op("Gather", &[&weighed, &order], vec![]);
        let ordered = self.b.reshape(&ordered, &[-1, experts.top_k as i64, width as i64]);
        let axes = self.b.ints(&[1]);
        let sum = self.b.op("ReduceSum", &[&ordered, &axes], vec![("keepdims", int(0))]);
        let shape = self.b.op("Shape", &[x], vec![]);
        Ok(self.b.op("Reshape", &[&sum, &shape], vec![]))
    }

    /// Which experts each row goes through, as 1 and 0, and with which weights: `[rows, experts]`.
    fn route(&mut self, x: &str, experts: &Experts) -> Result<(Name, Name)> {
        let router = self.weight(experts.router)?.parts();
        let logits = self.product(x, self.weight_name(experts.router), router)?;
        let scores = match experts.scoring {
            Scoring::Softmax => {
                self.b.op("Softmax", &[&logits], vec![("axis", Attribute::Int(-1))])
            }
            Scoring::Sigmoid => self.b.op("Sigmoid", &[&logits], vec![]),
        };
        let mut choice = scores.clone();
        if let Some(bias) = experts.selection_bias {
            let bias = self.small(bias, 0.0)?;
            choice = self.b.op("Add", &[&choice, &bias], vec![]);
        }
        if let Some(groups) = experts.groups {
            choice = self.within_groups(&choice, groups, experts.count);
        }
        let mask = self.best(&choice, experts.top_k);
        let mut weights = self.b.op("Mul", &[&scores, &mask], vec![]);
        if experts.normalise {
            let axes = self.b.ints(&[1]);
            let sum = self.b.op("ReduceSum", &[&weights, &axes], vec![]);
            weights = self.b.op("Div", &[&weights, &sum], vec![]);
        }
        if experts.scale != 1.0 {
            weights = self.scale(&weights, experts.scale);
        }
        Ok((mask, weights))
    }

    /// 1 at the `count` largest of each row, of equals the first; 0 elsewhere.
    fn best(&mut self, scores: &str, count: usize) -> Name {
        let count = self.b.ints(&[count as i64]);
        let best = self.b.ops(Domain::Onnx, "TopK", &[scores, &count], vec![], 2);
        let shape = self.b.op("Shape", &[scores], vec![]);
        let zeros = self.b.op("ConstantOfShape", &[&shape], vec![]);
        let places = self.b.op("Shape", &[&best[1]], vec![]);
        let one = self.b.float(1.0);
        let ones = self.b.op("Expand", &[&one, &places], vec![]);
        let axis = vec![("axis", Attribute::Int(1))];
        self.b.op("ScatterElements", &[&zeros, &best[1], &ones], axis)
    }

    /// Scores with minus infinity outside the best groups (arXiv 2412.19437, section 2.1.2).
    fn within_groups(&mut self, scores: &str, groups: ExpertGroups, count: usize) -> Name {
        let size = (count / groups.count) as i64;
        let grouped = self.b.reshape(scores, &[-1, groups.count as i64, size]);
        let by = self.b.ints(&[groups.scored_by as i64]);
        let best = self.b.ops(Domain::Onnx, "TopK", &[&grouped, &by], vec![], 2);
        let axes = self.b.ints(&[2]);
        let of_group = self.b.op("ReduceSum", &[&best[0], &axes], vec![("keepdims", int(0))]);
        let kept = self.best(&of_group, groups.top);
        let kept = self.b.op("Unsqueeze", &[&kept, &axes], vec![]);
        let half = self.b.float(0.5);
        let kept = self.b.op("Greater", &[&kept, &half], vec![]);
        let infinity = self.b.float(f32::NEG_INFINITY);
        let grouped = self.b.op("Where", &[&kept, &grouped, &infinity], vec![]);
        self.b.reshape(&grouped, &[-1, count as i64])
    }

    /// What each expert makes of its rows, expert below expert.
    fn each_expert(&mut self, x: &str, mask: &str, experts: &Experts) -> Result<Name> {
        let ones = self.b.ints(&vec![1; experts.count]);
        let axis = vec![("axis", Attribute::Int(0))];
        let masks = self.b.ops(Domain::Onnx, "Split", &[mask, &ones], axis, experts.count);
        let [gate, up, down] =
            [experts.gate, experts.up, experts.down].map(|stack| self.stack(stack));
        let (gate, up, down) = (gate?, up?, down?);
        let mut computed = Vec::new();
        for (expert, mask) in masks.iter().enumerate() {
            let places = self.b.op("NonZero", &[mask], vec![]);
            let row = self.b.index(1);
            let places = self.b.op("Gather", &[&places, &row], vec![]);
            let rows = self.b.op("Gather", &[x, &places], vec![]);
            let named = |id: WeightId| format!("{}.{expert}", self.model.graph.weight(id).name);
            let names = [experts.gate, experts.up, experts.down].map(named);
            let opened = self.product(&rows, &names[0], &gate[expert..=expert])?;
            let opened = self.activation(&opened, experts.activation);
            let raised = self.product(&rows, &names[1], &up[expert..=expert])?;
            let inner = self.b.op("Mul", &[&opened, &raised], vec![]);
            computed.push(self.product(&inner, &names[2], &down[expert..=expert])?);
        }
        let computed: Vec<&str> = computed.iter().map(String::as_str).collect();
        Ok(self.b.concat(&computed, 0))
    }

    /// The matrices of a stack, a tensor each: slices of the stack's memory.
    fn stack(&self, id: WeightId) -> Result<Vec<Tensor>> {
        let weight: &Weight = self.weight(id)?;
        let shape = &weight.shape()[1..];
        let mut matrices = Vec::new();
        for part in weight.parts() {
            let bytes = part.format().tensor_bytes(shape)?;
            let count = part.bytes().len() / bytes;
            for index in 0..count {
                let slice = part.bytes().slice(index * bytes..(index + 1) * bytes);
                matrices.push(Tensor::new(part.format(), shape, slice)?);
            }
        }
        Ok(matrices)
    }

    /// The order that puts results together that belong to one row, `places` being their experts
    /// and rows.
    fn by_row(&mut self, places: &str) -> Name {
        let rows = self.b.index(1);
        let rows = self.b.op("Gather", &[places, &rows], vec![]);
        let count = self.b.op("Shape", &[&rows], vec![]);
        let axes = self.b.ints(&[0]);
        let end = self.b.op("Squeeze", &[&count, &axes], vec![]);
        let (zero, one) = (self.b.index(0), self.b.index(1));
        let index = self.b.op("Range", &[&zero, &end, &one], vec![]);
        // Distinct keys, so that the order is one: by row, then by expert.
        let keys = self.b.op("Mul", &[&rows, &count], vec![]);
        let keys = self.b.op("Add", &[&keys, &index], vec![]);
        let smallest = vec![("largest", int(0))];
        self.b.ops(Domain::Onnx, "TopK", &[&keys, &count], smallest, 2).remove(1)
    }
}
