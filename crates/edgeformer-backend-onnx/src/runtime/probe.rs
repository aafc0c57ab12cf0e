//! What the documentation of an operator leaves open, and versions of its kernels answer otherwise.

use super::run::Bound;
use super::sink::Build;
use crate::error::Problem;
use crate::onnx::{Attribute, Dim, Domain, Element, Node, OnnxGraph, Port};

/// Tokens of the probe, and columns of its one head.
const TOKENS: usize = 3;
const WIDTH: usize = 8;

impl Build<'_> {
    /// Whether the window of `GroupQueryAttention` counts the query's own token: it does in 1.32,
    /// it does not in 1.23. The kernel itself is asked: the last of three tokens sees keys that
    /// are all alike through a window of two, and its output is the mean of what it sees.
    pub fn window_counts_own(&self) -> Result<bool, Problem> {
        let runnable = self.session(probe())?;
        let zeros = [0.0; TOKENS * WIDTH];
        let values: Vec<f32> = (0..TOKENS * WIDTH).map(|i| (i / WIDTH) as f32).collect();
        let (mut keys_cached, mut values_cached) = (zeros, zeros);
        let mut out = zeros;
        let rows = || vec![1, TOKENS as i64, WIDTH as i64];
        let cache = || vec![1, 1, TOKENS as i64, WIDTH as i64];
        let (last, total) = ([TOKENS as i32 - 1], [TOKENS as i32]);
        let mut inputs = [
            Bound::Floats(&zeros, rows()),
            Bound::Floats(&zeros, rows()),
            Bound::Floats(&values, rows()),
            Bound::Through(&mut keys_cached, cache()),
            Bound::Through(&mut values_cached, cache()),
            Bound::Ints(&last, vec![1]),
            Bound::Ints(&total, vec![1]),
        ];
        let mut outputs = [Some(Bound::Out(&mut out, rows())), None, None];
        runnable.run(&mut inputs, &mut outputs, &[(3, 1), (4, 2)])?;
        let mean = out[(TOKENS - 1) * WIDTH];
        match mean {
            // Of 1 and 2, and of 0, 1 and 2.
            _ if (mean - 1.5).abs() < 1e-3 => Ok(true),
            _ if (mean - 1.0).abs() < 1e-3 => Ok(false),
            _ => Err(Problem::Runtime(format!(
                "GroupQueryAttention computes {mean} where a window of 2 gives 1.5: use another version"
            ))),
        }
    }
}

fn probe() -> OnnxGraph {
    let port = |name: &str, element, shape: &[usize]| Port {
        name: name.into(),
        element,
        shape: shape.iter().map(|&size| Dim::Known(size)).collect(),
    };
    let rows = [1, TOKENS, WIDTH];
    let cache = [1, 1, TOKENS, WIDTH];
    let mut inputs: Vec<Port> = ["q", "k", "v"].map(|name| port(name, Element::F32, &rows)).into();
    inputs.extend(["past_k", "past_v"].map(|name| port(name, Element::F32, &cache)));
    inputs.extend(["last", "total"].map(|name| port(name, Element::I32, &[1])));
    let outputs = vec![
        port("out", Element::F32, &rows),
        port("present_k", Element::F32, &cache),
        port("present_v", Element::F32, &cache),
    ];
    let names = |ports: &[Port]| ports.iter().map(|port| port.name.clone()).collect();
    let node = Node {
        name: "attention".into(),
        domain: Domain::Microsoft,
        op: "GroupQueryAttention",
        inputs: names(&inputs),
        outputs: names(&outputs),
        attributes: vec![
            ("num_heads", Attribute::Int(1)),
            ("kv_num_heads", Attribute::Int(1)),
            ("local_window_size", Attribute::Int(2)),
        ],
    };
    OnnxGraph { name: "probe".into(), nodes: vec![node], initializers: vec![], inputs, outputs }
}
