use edgeformer_conformance::random_model;
use edgeformer_core::Format;
use edgeformer_core::graph::{
    Attention, GraphBuilder, GraphInput, Mask, OutputKind, Rope, RopeLayout, RopeScaling,
};

use super::*;

/// A layer of attention, with what the session and the file sink differ in.
fn layer(window: Option<usize>, format: Format) -> Model {
    let input = GraphInput::Tokens { vocabulary: 64, context: 16 };
    let mut b = GraphBuilder::new("small", input);
    let x = b.embed("token_embd.weight", 32, 1.0).unwrap();
    let h = b.rms_norm(x, "norm", 1e-5, 0.0).unwrap();
    let [q, k, v] = ["q", "k", "v"].map(|name| b.linear(h, name, 32, false).unwrap());
    let rope = Rope {
        heads: 4,
        dims: 8,
        layout: RopeLayout::Halves,
        base: 100.0,
        scaling: RopeScaling::None,
    };
    let q = b.rope(q, rope.clone()).unwrap();
    let k = b.rope(k, rope).unwrap();
    let attention = Attention {
        heads: 4,
        kv_heads: 4,
        key_dim: 8,
        value_dim: 8,
        scale: 0.35,
        mask: Mask::Causal,
        window,
        soft_cap: None,
        slot: None,
    };
    let mixed = b.attention(q, k, v, attention).unwrap();
    let x = b.add(x, mixed).unwrap();
    let x = b.linear(x, "output", 64, true).unwrap();
    let graph = b.finish(OutputKind::Logits, x).unwrap();
    let format = |info: &edgeformer_core::graph::WeightInfo| match info.shape.len() {
        1 => Format::F32,
        _ => format,
    };
    random_model(graph, 1, format).unwrap()
}

fn options(target: Target) -> Options {
    Options {
        target,
        in_place: false,
        expanded: false,
        window: None,
        counts: Counts::Own,
        plain: false,
    }
}

fn text(model: &Model, target: Target) -> String {
    written(model, options(target))
}

fn written(model: &Model, options: Options) -> String {
    let graph = translate(model, options).unwrap().graph;
    let ports = |ports: &[crate::onnx::Port]| {
        ports.iter().map(|port| format!("{} {:?}", port.name, port.shape)).collect::<Vec<_>>()
    };
    format!(
        "{}\n{}{}",
        ports(&graph.inputs).join("\n"),
        graph.to_text(),
        ports(&graph.outputs).join("\n")
    )
}

#[test]
fn a_session_has_grouped_queries_and_chosen_rows() {
    insta::assert_snapshot!(text(&layer(Some(5), Format::F32), Target::Session));
}

#[test]
fn what_the_operator_lacks_is_plain() {
    insta::assert_snapshot!(text(&layer(Some(1), Format::Q4_0), Target::Session));
}

#[test]
fn plain_operators_attend_over_the_whole_buffer() {
    let options = Options { plain: true, ..options(Target::Session) };
    insta::assert_snapshot!(written(&layer(Some(5), Format::F32), options));
}

#[test]
fn a_file_has_the_cache_as_inputs_and_outputs() {
    insta::assert_snapshot!(text(&layer(None, Format::Q8_0), Target::File));
}

#[test]
fn half_floats_stay_in_place_where_they_shall() {
    let model = layer(None, Format::F16);
    let bytes = |in_place| {
        let options = Options { in_place, ..options(Target::Session) };
        let graph = translate(&model, options).unwrap().graph;
        let aliased = graph.initializers.iter().filter(|one| one.aliases());
        aliased.map(|one| one.byte_len()).sum::<usize>()
    };
    // The embedding is gathered from the file in any case.
    let matrices = 2 * (3 * 32 * 32 + 64 * 32);
    assert_eq!(bytes(true) - bytes(false), matrices);
}
