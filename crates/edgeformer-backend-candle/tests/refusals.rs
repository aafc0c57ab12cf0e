//! What the backend refuses, in its words.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use edgeformer_backend_candle::{CandleBackend, DeviceWeights};
use edgeformer_conformance::random_model;
use edgeformer_core::graph::{Attention, GraphBuilder, GraphInput, Mask, OutputKind, WeightId};
use edgeformer_core::{
    Backend, CacheFormat, CompileOptions, Device, Eviction, EvictionPolicy, Format, HeadWindows,
    Model, SessionOptions, Tiers, Visibility, Window,
};

fn model() -> Model {
    let mut b = GraphBuilder::new("g", GraphInput::Tokens { vocabulary: 5, context: 8 });
    let x = b.embed("table.weight", 32, 1.0).unwrap();
    let attention = Attention {
        heads: 1,
        kv_heads: 1,
        key_dim: 32,
        value_dim: 32,
        scale: 1.0,
        mask: Mask::Causal,
        window: None,
        soft_cap: None,
        slot: None,
    };
    let x = b.attention(x, x, x, attention).unwrap();
    let x = b.linear(x, "output", 5, false).unwrap();
    let graph = b.finish(OutputKind::Logits, x).unwrap();
    let format = |name: &str| if name == "output.weight" { Format::Q4_0 } else { Format::F32 };
    random_model(graph, 1, |info| format(&info.name)).unwrap()
}

fn opened(options: SessionOptions) -> String {
    let program = CandleBackend.compile(Arc::new(model()), &CompileOptions::default()).unwrap();
    match program.open(&options) {
        Ok(_) => "opened".into(),
        Err(error) => error.to_string(),
    }
}

fn seeing(visibility: Visibility) -> String {
    opened(SessionOptions { visibility, ..SessionOptions::default() })
}

fn stored(tiers: Tiers) -> String {
    opened(SessionOptions { tiers, ..SessionOptions::default() })
}

#[test]
fn cache_formats_without_a_tensor_of_them() {
    for format in CacheFormat::ALL {
        let options = SessionOptions { cache_type_v: format, ..SessionOptions::default() };
        assert_eq!(opened(options) == "opened", !format.is_quantized());
    }
    let cache_type_k = CacheFormat::Q4_0H;
    insta::assert_snapshot!(
        opened(SessionOptions { cache_type_k, ..SessionOptions::default() }),
        @r#"configuration: backend "candle" has no cached keys in q4_0h (but in f32 or f16); leave that out, or use the backend "cpu""#
    );
}

#[test]
fn views_of_the_past_that_are_no_mask() {
    let plain = Visibility::default;
    assert_eq!(seeing(Visibility { window: Window::Tokens(3), ..plain() }), "opened");
    let adaptive = Window::Adaptive { least: 2, most: 4 };
    let eviction = Some(Eviction { policy: EvictionPolicy::H2o, keep: 4 });
    insta::assert_snapshot!(
        seeing(Visibility { sinks: 2, ..plain() }),
        @r#"configuration: backend "candle" has no attention sinks; leave that out, or use the backend "cpu""#
    );
    insta::assert_snapshot!(
        seeing(Visibility { window: adaptive, ..plain() }),
        @r#"configuration: backend "candle" has no adaptive windows; leave that out, or use the backend "cpu""#
    );
    insta::assert_snapshot!(
        seeing(Visibility { attend_pages: Some(3), ..plain() }),
        @r#"configuration: backend "candle" has no choice of attended pages; leave that out, or use the backend "cpu""#
    );
    insta::assert_snapshot!(
        seeing(Visibility { eviction, ..plain() }),
        @r#"configuration: backend "candle" has no eviction; leave that out, or use the backend "cpu""#
    );
}

#[test]
fn windows_of_another_model() {
    let heads = |slots: Vec<Vec<Option<usize>>>| {
        let window = Window::Heads(Arc::new(HeadWindows { slots }));
        seeing(Visibility { window, ..Visibility::default() })
    };
    assert_eq!(heads(vec![vec![Some(3)]]), "opened");
    let window = Window::Tokens(0);
    insta::assert_snapshot!(
        seeing(Visibility { window, ..Visibility::default() }),
        @"configuration: a window of 0 tokens in layer 0: a query sees itself at least"
    );
    insta::assert_snapshot!(
        heads(vec![]),
        @"configuration: the table of windows has 0 layers, the model caches 1: make it for this model"
    );
    insta::assert_snapshot!(
        heads(vec![vec![None, Some(2)]]),
        @"configuration: the table of windows has 2 heads in layer 0, the model has 1: make it for this model"
    );
}

#[test]
fn tiers_besides_the_host() {
    insta::assert_snapshot!(
        stored(Tiers { cold: Some(CacheFormat::Q4_0), ..Tiers::default() }),
        @r#"configuration: backend "candle" has no cold pages in another format; leave that out, or use the backend "cpu""#
    );
    insta::assert_snapshot!(
        stored(Tiers { spill: Some("/tmp".into()), ..Tiers::default() }),
        @r#"configuration: backend "candle" has no spilling to a file; leave that out, or use the backend "cpu""#
    );
    insta::assert_snapshot!(
        stored(Tiers { budget: Some(1000), ..Tiers::default() }),
        @r#"configuration: a cache budget of 1000 bytes: the layer that runs and the next one take 1048576 at a context of 4096; raise the budget or shorten the context"#
    );
    assert_eq!(stored(Tiers { budget: Some(1 << 30), ..Tiers::default() }), "opened");
    let observed = SessionOptions { observe_attention: true, ..SessionOptions::default() };
    insta::assert_snapshot!(
        opened(observed),
        @r#"configuration: backend "candle" has no record of where attention goes; leave that out, or use the backend "cpu""#
    );
}

#[test]
fn devices_that_are_not_there() {
    let device = |id: &str| {
        let device = Device { id: id.into(), description: "".into(), facts: vec![], score: 0 };
        let unsupported = CandleBackend.check(&model().graph, &device).unwrap_err().to_string();
        let options = CompileOptions { device: id.into(), ..CompileOptions::default() };
        let error = CandleBackend.compile(Arc::new(model()), &options).err().unwrap();
        assert_eq!(unsupported, error.to_string());
        unsupported
    };
    insta::assert_snapshot!(
        device("npu"),
        @r#"backend "candle": there is no device "npu": known are cpu, cuda:N, metal:N"#
    );
}

#[test]
fn weights_that_cannot_be_trained() {
    let model = model();
    let mut weights = DeviceWeights::load(&model, &candle_core::Device::Cpu).unwrap();
    let place = |name: &str| {
        let index = model.graph.weights.iter().position(|info| info.name == name).unwrap();
        WeightId(index as u32)
    };
    let mut trained = |id| weights.make_trainable(id).unwrap_err().to_string();
    insta::assert_snapshot!(
        trained(place("output.weight")),
        @r#"weight "output.weight": is quantized: only floats can be trained"#
    );
    insta::assert_snapshot!(
        trained(WeightId(7)),
        @r#"backend "candle": there is no weight 7"#
    );
    weights.make_trainable(place("table.weight")).unwrap();
    let none = DeviceWeights::from_tensors(&model.graph, Vec::new()).unwrap_err();
    insta::assert_snapshot!(
        none.to_string(),
        @r#"backend "candle": 0 tensors are given, the graph has 2 weights"#
    );
}
