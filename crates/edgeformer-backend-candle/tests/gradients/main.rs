//! Gradients of a small graph of every op against central differences, in f64; and what flows
//! through quantized weights.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod graphs;

use candle_core::{DType, Device, Tensor, Var};
use edgeformer_backend_candle::{DeviceWeights, forward};
use edgeformer_conformance::random_model;
use edgeformer_core::graph::GraphInput;
use edgeformer_core::{Format, Graph, Input, Model, Op};

/// Half the distance of two points whose values give a difference.
const STEP: f64 = 1e-5;
/// What candle's rounded constants (of GELU's derivative, six digits) and `STEP` may cost.
const TOLERANCE: f64 = 5e-6;

/// A model with variables for weights.
struct Lab {
    graph: Graph,
    weights: DeviceWeights,
    variables: Vec<Var>,
}

impl Lab {
    fn new(graph: Graph) -> Self {
        let model = random_model(graph, 5, |_| Format::F32).unwrap();
        let variable = |name: &str| {
            let weight = model.weights.get(name).unwrap();
            let values: Vec<f64> = weight.to_f32().into_iter().map(f64::from).collect();
            Var::from_vec(values, weight.shape(), &Device::Cpu).unwrap()
        };
        let variables: Vec<Var> =
            model.graph.weights.iter().map(|info| variable(&info.name)).collect();
        let tensors = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
        let weights = DeviceWeights::from_tensors(&model.graph, tensors).unwrap();
        Self { graph: model.graph, weights, variables }
    }

    /// A sum of all outputs in which each counts differently.
    fn loss(&self) -> Tensor {
        loss(&self.graph, &self.weights)
    }

    fn check(&self, name: &str) {
        let gradients = self.loss().backward().unwrap();
        let mut largest = 0.0f64;
        for (variable, info) in self.variables.iter().zip(&self.graph.weights) {
            // Candle keeps none where the output does not depend on a weight.
            let zeros = variable.zeros_like().unwrap();
            let found = gradients.get(variable.as_tensor()).unwrap_or(&zeros);
            let found = found.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let values = variable.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            for (element, &found) in found.iter().enumerate() {
                let at = |shift: f64| {
                    let mut values = values.clone();
                    values[element] += shift;
                    let shifted = Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap();
                    variable.set(&shifted).unwrap();
                    self.loss().to_scalar::<f64>().unwrap()
                };
                let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);
                let error = (found - expected).abs() / expected.abs().max(1.0);
                assert!(
                    error < TOLERANCE,
                    "{name}: the gradient of {}[{element}] is {found}, differences say {expected}",
                    info.name
                );
                largest = largest.max(found.abs());
            }
            let back = Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap();
            variable.set(&back).unwrap();
        }
        assert!(largest > 1e-3, "{name}: every gradient is zero");
    }
}

fn loss(graph: &Graph, weights: &DeviceWeights) -> Tensor {
    let values = input(graph);
    let tokens = [[3u32, 1, 4, 1, 0].as_slice(), [2, 4].as_slice()];
    let inputs: Vec<Input<'_>> = match graph.input {
        GraphInput::Tokens { .. } => tokens.into_iter().map(Input::Tokens).collect(),
        GraphInput::Pixels { .. } => vec![Input::Pixels(&values)],
        GraphInput::Signal { .. } => vec![Input::Signal(&values)],
    };
    let rows = forward(graph, weights, &inputs, 32).unwrap();
    let (count, width) = rows.dims2().unwrap();
    let counts: Vec<f64> = (0..count * width).map(|i| (i as f64 * 0.7).sin() + 0.3).collect();
    let counts = Tensor::from_vec(counts, (count, width), &Device::Cpu).unwrap();
    (rows * counts.to_dtype(weights.dtype()).unwrap()).unwrap().sum_all().unwrap()
}

fn input(graph: &Graph) -> Vec<f32> {
    let count = match graph.input {
        GraphInput::Tokens { .. } => 0,
        GraphInput::Pixels { channels, size } => channels * size[0] * size[1],
        GraphInput::Signal { channels, samples } => channels * samples,
    };
    (0..count).map(|i| (i as f32 * 1.3).sin()).collect()
}

#[test]
fn gradients_are_the_differences_of_values() {
    for (name, graph) in graphs::all() {
        Lab::new(graph.unwrap()).check(name);
    }
}

#[test]
fn no_op_is_left_out() {
    let graphs: Vec<Graph> = graphs::all().into_iter().map(|(_, graph)| graph.unwrap()).collect();
    let tested = |name: &str| {
        graphs.iter().any(|graph| graph.nodes.iter().any(|node| node.op.name() == name))
    };
    // `Op` has no list of its own: this one is checked against the vocabulary by the compiler.
    let names = |op: &Op| match op {
        Op::Embed { .. } | Op::Position { .. } | Op::AddRow { .. } | Op::Unfold(_) => (),
        Op::Prepend { .. } | Op::Linear { .. } | Op::Split { .. } | Op::Concat => (),
        Op::Norm(_) | Op::Rope(_) | Op::Attention(_) | Op::LatentAttention(_) => (),
        Op::Activation(_) | Op::Multiply | Op::Add | Op::Scale { .. } => (),
        Op::AdapterScale(_) | Op::SoftCap { .. } | Op::Experts(_) | Op::Pool(_) => (),
    };
    graphs.iter().flat_map(|graph| &graph.nodes).for_each(|node| names(&node.op));
    for name in [
        "embed",
        "position",
        "add_row",
        "unfold",
        "prepend",
        "linear",
        "split",
        "concat",
        "norm",
        "rope",
        "attention",
        "latent_attention",
        "activation",
        "multiply",
        "add",
        "scale",
        "adapter_scale",
        "soft_cap",
        "experts",
        "pool",
    ] {
        assert!(tested(name), "no graph has the op {name}");
    }
}

/// The gradient of a norm's weight below a frozen quantized product is that of the same product
/// dequantized, within what its rounded activations cost.
#[test]
fn gradients_flow_through_quantized_weights() {
    for format in [Format::Q8_0, Format::Q4_0, Format::Q6K, Format::F16, Format::BF16] {
        let graph = graphs::norm_below_a_product().unwrap();
        let model = random_model(graph, 5, |info| match info.name.as_str() {
            "output.weight" => format,
            _ => Format::F32,
        });
        let model = model.unwrap();
        let found = norm_gradient(&model);
        let expected = norm_gradient(&dequantized(&model));
        let distance: f32 = found.iter().zip(&expected).map(|(a, b)| (a - b).powi(2)).sum();
        let length: f32 = expected.iter().map(|value| value.powi(2)).sum();
        let error = (distance / length).sqrt();
        assert!(error < 1e-3 && length > 0.0, "{format}: the gradient is off by {error}");
    }
}

fn dequantized(model: &Model) -> Model {
    let mut model = model.clone();
    let weight = model.weights.get("output.weight").unwrap();
    let tensor = edgeformer_core::Tensor::from_f32(weight.shape(), &weight.to_f32()).unwrap();
    model.weights.insert("output.weight", edgeformer_core::Weight::whole(tensor));
    model
}

fn norm_gradient(model: &Model) -> Vec<f32> {
    let mut weights = DeviceWeights::load(model, &Device::Cpu).unwrap();
    let index = model.graph.weights.iter().position(|info| info.name == "norm.weight").unwrap();
    let id = edgeformer_core::graph::WeightId(index as u32);
    let variable = weights.make_trainable(id).unwrap();
    assert_eq!(weights.dtype(), DType::F32);
    let gradients = loss(&model.graph, &weights).backward().unwrap();
    gradients.get(variable.as_tensor()).unwrap().to_vec1().unwrap()
}
