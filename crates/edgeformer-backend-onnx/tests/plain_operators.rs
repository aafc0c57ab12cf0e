//! The suite with plain operators, as MIGraphX gets them: here on the CPU.

use edgeformer_backend_onnx::{OnnxBackend, OnnxOptions};
use edgeformer_conformance::{Suite, known};
use edgeformer_core::Backend;

#[test]
fn conforms() {
    let options = OnnxOptions { plain_operators: true, ..OnnxOptions::default() };
    let backend = OnnxBackend::new(options);
    if let Err(error) = backend.devices() {
        println!("skipped: {error}");
        return;
    }
    let report = Suite::standard().run(&backend, "cpu", known::ONNX);
    println!("{report}");
    report.assert_ok();
}
