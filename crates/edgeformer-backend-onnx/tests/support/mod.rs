//! What tests of refusals share.
#![allow(dead_code, reason = "a test does not need all of it")]

use std::path::Path;
use std::sync::Arc;

use edgeformer_backend_onnx::{OnnxBackend, OnnxOptions};
use edgeformer_conformance::random_model;
use edgeformer_core::graph::{GraphBuilder, GraphInput, OutputKind};
use edgeformer_core::{Format, Model};

pub fn with_library(path: &Path) -> OnnxBackend {
    OnnxBackend::new(OnnxOptions { library: Some(path.into()), ..OnnxOptions::default() })
}

pub fn model() -> Arc<Model> {
    model_in(Format::F32)
}

pub fn model_in(format: Format) -> Arc<Model> {
    let input = GraphInput::Tokens { vocabulary: 16, context: 32 };
    let mut b = GraphBuilder::new("small", input);
    let x = b.embed("token_embd.weight", 8, 1.0).unwrap();
    let x = b.linear(x, "output", 16, false).unwrap();
    let graph = b.finish(OutputKind::Logits, x).unwrap();
    Arc::new(random_model(graph, 1, |_| format).unwrap())
}
