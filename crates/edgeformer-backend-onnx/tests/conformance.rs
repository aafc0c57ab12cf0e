//! The backend against the suite, on every library that is found here.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use edgeformer_backend_onnx::{OnnxBackend, OnnxOptions};
use edgeformer_conformance::Suite;
use edgeformer_core::Backend;

#[test]
fn conforms() {
    let backend = OnnxBackend::new(OnnxOptions::default());
    if let Err(error) = backend.devices() {
        println!("skipped: {error}");
        return;
    }
    let only = std::env::var("CASE").unwrap_or_default();
    let suite = Suite::standard().filtered(|case| case.name.contains(&only));
    let report = suite.run(&backend, "cpu", &[]);
    println!("{report}");
    report.assert_ok();
}
