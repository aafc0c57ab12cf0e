//! Embeddings, norms, elementwise ops.

use edgeformer_core::Result;
use edgeformer_core::graph::{
    Activation, Graph, GraphBuilder, GraphInput, Norm, NormKind, Op, OutputKind, Value,
};

use super::super::graphs::{VOCABULARY, WIDTH, attend, decoder_around, grouped};
use super::text;
use crate::suite::Case;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        text("embed-scaled", scaled_embedding),
        text("embed-tied", tied_embedding),
        text("position", || decoder_around(|b, x| b.position(x, "pos.weight", 170, 2))),
        text("add-row", || decoder_around(|b, x| b.add_row(x, "types.weight", 3, 1))),
        text("split-concat", || {
            decoder_around(|b, x| {
                let [a, c, d] = b.split(x, [8, 20, 4])?;
                b.concat(&[d, a, c])
            })
        }),
        text("split-groups", || {
            decoder_around(|b, x| {
                let [a, c] = b.split_heads(x, 4, [3, 5])?;
                b.concat(&[c, a])
            })
        }),
        text("norm-rms-offset", || decoder_around(|b, x| b.rms_norm(x, "norm", 1e-3, 1.0))),
        text("norm-rms-heads", || decoder_around(|b, x| b.head_norm(x, "norm", 4, 1e-6, 0.0))),
        text("norm-layer", || decoder_around(|b, x| b.layer_norm(x, "norm", 1e-5))),
        text("norm-bare", || decoder_around(bare_norms)),
        text("multiply", || {
            decoder_around(|b, x| {
                let y = b.linear(x, "other", WIDTH, true)?;
                b.multiply(x, y)
            })
        }),
        text("add", || decoder_around(|b, x| b.add(x, x))),
        text("scale", || decoder_around(|b, x| b.scale(x, -0.37))),
        text("soft-cap", || {
            decoder_around(|b, x| {
                let x = b.scale(x, 4.0)?;
                b.soft_cap(x, 2.5)
            })
        }),
    ];
    cases.extend(activations());
    cases
}

fn activations() -> Vec<Case> {
    macro_rules! activation {
        ($name:literal, $activation:expr) => {
            text($name, || decoder_around(|b, x| activate(b, x, $activation)))
        };
    }
    vec![
        activation!("activation-silu", Activation::Silu),
        activation!("activation-gelu", Activation::Gelu),
        activation!("activation-gelu-tanh", Activation::GeluTanh),
        activation!("activation-relu", Activation::Relu),
        activation!("activation-sigmoid", Activation::Sigmoid),
        activation!("activation-tanh", Activation::Tanh),
    ]
}

/// Over a range in which the function bends.
fn activate(b: &mut GraphBuilder, x: Value, activation: Activation) -> Result<Value> {
    let x = b.scale(x, 3.0)?;
    b.activation(x, activation)
}

fn bare_norms(b: &mut GraphBuilder, x: Value) -> Result<Value> {
    let norm = |kind, groups| {
        let (weight, bias) = (None, None);
        Op::Norm(Norm { kind, groups, weight, bias, eps: 1e-5, weight_offset: 0.0 })
    };
    let x = b.push(norm(NormKind::Layer, 2), &[x])?[0];
    Ok(b.push(norm(NormKind::Rms, 1), &[x])?[0])
}

fn scaled_embedding() -> Result<Graph> {
    let input = GraphInput::Tokens { vocabulary: VOCABULARY, context: 128 };
    let mut b = GraphBuilder::new("conformance", input);
    let x = b.embed("token_embd.weight", WIDTH, 5.5)?;
    let x = attend(&mut b, x, "behind", grouped(4, 2, 8))?;
    b.finish(OutputKind::Logits, x)
}

/// The table is the head too.
fn tied_embedding() -> Result<Graph> {
    let input = GraphInput::Tokens { vocabulary: VOCABULARY, context: 128 };
    let mut b = GraphBuilder::new("conformance", input);
    let x = b.embed("token_embd.weight", WIDTH, 1.0)?;
    let x = attend(&mut b, x, "behind", grouped(4, 2, 8))?;
    let logits = b.linear(x, "token_embd", VOCABULARY, false)?;
    b.finish(OutputKind::Logits, logits)
}
