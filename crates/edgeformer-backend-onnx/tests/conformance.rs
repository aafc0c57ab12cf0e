//! The backend against the suite, on the library that is found here.

use edgeformer_backend_onnx::{OnnxBackend, OnnxOptions};
use edgeformer_conformance::{Suite, known};
use edgeformer_core::Backend;

#[test]
fn conforms() {
    let backend = OnnxBackend::new(OnnxOptions::default());
    if let Err(error) = backend.devices() {
        println!("skipped: {error}");
        return;
    }
    let report = Suite::standard().run(&backend, "cpu", known::ONNX);
    println!("{report}");
    report.assert_ok();
}
