//! Products with weights of every format.

use std::sync::Arc;

use edgeformer_core::graph::{Graph, GraphBuilder, GraphInput, OutputKind, WeightInfo};
use edgeformer_core::{Format, Model, Result, Tensor, Weight};

use super::super::graphs::{WIDTH, attend, decoder_around, grouped};
use super::{FLOAT, check_text, text};
use crate::random::random_model;
use crate::suite::{Case, Group};

/// What activations in 8 bits may cost.
const QUANTIZED: f64 = 2.5e-2;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        text("linear", || decoder_around(|b, x| b.linear(x, "wide", 3 * WIDTH, false))),
        text("linear-bias", || decoder_around(|b, x| b.linear(x, "wide", WIDTH + 5, true))),
        Case::new(Group::Ops, "ops/linear-concatenated", |bench| {
            check_text(bench, Arc::new(concatenated()?), FLOAT)
        }),
    ];
    cases.extend(Format::ALL.into_iter().map(|format| {
        Case::new(Group::Ops, format!("ops/linear-{format}"), move |bench| {
            let limit = if format.is_float() { FLOAT } else { QUANTIZED };
            // A norm's weights stay floats, as in files.
            let format_of = |info: &WeightInfo| match info.shape.len() {
                1 => Format::F32,
                _ => format,
            };
            let model = random_model(blocks()?, 1, format_of)?;
            check_text(bench, Arc::new(model), limit)
        })
    }));
    cases
}

/// A graph of which every matrix has whole blocks of 256. The width is that of the real thing, so
/// that errors of activations average out as they do there.
fn blocks() -> Result<Graph> {
    let input = GraphInput::Tokens { vocabulary: 64, context: 128 };
    let mut b = GraphBuilder::new("conformance", input);
    let x = b.embed("token_embd.weight", 256, 1.0)?;
    let x = attend(&mut b, x, "blk.0", grouped(4, 2, 64))?;
    let inner = b.linear(x, "up", 512, false)?;
    let out = b.linear(inner, "down", 256, false)?;
    let x = b.rms_norm(out, "output_norm", 1e-5, 0.0)?;
    let logits = b.linear(x, "token_embd", 64, false)?;
    b.finish(OutputKind::Logits, logits)
}

/// A weight in three parts of different formats, as fused projections of quantized files.
fn concatenated() -> Result<Model> {
    let graph = decoder_around(|b, x| {
        let parts = b.linear(x, "fused", 3 * WIDTH, false)?;
        let [q, k, v] = b.split(parts, [WIDTH; 3])?;
        let qk = b.multiply(q, k)?;
        b.add(qk, v)
    })?;
    let mut model = random_model(graph, 1, |_| Format::F32)?;
    let values = model.weights.get("fused.weight")?.to_f32();
    let formats = [Format::F32, Format::F16, Format::BF16];
    let parts = values.chunks(WIDTH * WIDTH).zip(formats);
    let parts = parts
        .map(|(values, format)| Tensor::quantize(format, [WIDTH, WIDTH], values))
        .collect::<Result<_>>()?;
    model.weights.insert("fused.weight", Weight::concatenated("fused.weight", parts)?);
    Ok(model)
}
