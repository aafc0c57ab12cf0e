//! Windows by head, which the suite has with sinks only.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use edgeformer_backend_candle::CandleBackend;
use edgeformer_conformance::reference::evaluate_seeing;
use edgeformer_conformance::{random_model, relative_l2};
use edgeformer_core::graph::{Attention, GraphBuilder, GraphInput, Mask, OutputKind};
use edgeformer_core::{
    Backend, CacheFormat, CompileOptions, Format, HeadWindows, Input, Model, Outputs,
    SessionOptions, Span, Step, Visibility, Want, Window,
};

fn model() -> Model {
    let mut b = GraphBuilder::new("g", GraphInput::Tokens { vocabulary: 9, context: 256 });
    let mut x = b.embed("table.weight", 16, 1.0).unwrap();
    for (layer, window) in [None, Some(5)].into_iter().enumerate() {
        let attention = Attention {
            heads: 4,
            kv_heads: 2,
            key_dim: 4,
            value_dim: 4,
            scale: 0.5,
            mask: Mask::Causal,
            window,
            soft_cap: None,
            slot: None,
        };
        let q = b.linear(x, &format!("{layer}.q"), 16, false).unwrap();
        let k = b.linear(x, &format!("{layer}.k"), 8, false).unwrap();
        let v = b.linear(x, &format!("{layer}.v"), 8, false).unwrap();
        let mixed = b.attention(q, k, v, attention).unwrap();
        x = b.add(x, mixed).unwrap();
    }
    let graph = b.finish(OutputKind::HiddenStates, x).unwrap();
    random_model(graph, 3, |_| Format::F32).unwrap()
}

#[test]
fn every_head_sees_its_own_window() {
    let model = Arc::new(model());
    let slots =
        vec![vec![Some(1), None, Some(30), Some(200)], vec![Some(3), Some(9), None, Some(2)]];
    let visibility =
        Visibility { window: Window::Heads(Arc::new(HeadWindows { slots })), ..Default::default() };
    let options = SessionOptions {
        context: 256,
        chunk: 256,
        output_rows: 256,
        cache_type_k: CacheFormat::F32,
        cache_type_v: CacheFormat::F32,
        visibility: visibility.clone(),
        ..SessionOptions::default()
    };
    // Longer than the queries that are attended at a time.
    let text: Vec<u32> = (0..200).map(|token| token * token % 9).collect();
    let expected = evaluate_seeing(&model, Input::Tokens(&text), 256, &visibility).unwrap();
    let program = CandleBackend.compile(model, &CompileOptions::default()).unwrap();
    for chunk in [200, 13, 1] {
        let mut session = program.clone().open(&options).unwrap();
        let sequence = session.cache().create().unwrap();
        let (mut outputs, mut found) = (Outputs::default(), Vec::new());
        for tokens in text.chunks(chunk) {
            let span = Span { sequence, input: Input::Tokens(tokens), want: Want::All };
            session.run(&Step { spans: &[span] }, &mut outputs).unwrap();
            found.extend_from_slice(outputs.rows().data());
        }
        let error = relative_l2(&found, expected.data());
        assert!(error < 1e-5, "in chunks of {chunk}: {error}");
    }
}
