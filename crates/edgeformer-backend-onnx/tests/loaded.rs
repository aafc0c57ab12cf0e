//! What is refused once ONNX Runtime is loaded, which a process does once: a test alone in its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use edgeformer_backend_onnx::{ExecutionProvider, OnnxBackend, OnnxOptions};
use edgeformer_core::{Backend, CompileOptions};

use support::{model, with_library};

#[test]
fn what_the_library_lacks() {
    let found = OnnxBackend::new(OnnxOptions::default());
    let devices = match found.devices() {
        Ok(devices) => devices,
        Err(error) => {
            println!("skipped: {error}");
            return;
        }
    };
    let (_, path) = devices[0].facts.iter().find(|(name, _)| name == "library").unwrap();
    let shown = |error: String| error.replace(path.as_str(), "[path]");
    let known: Vec<_> = devices.iter().map(|device| device.id.as_str()).collect();
    assert!(known.contains(&"cpu"), "{known:?}");
    let lacking = ["cuda", "qnn"].into_iter().find(|name| !known.contains(name)).unwrap();
    let expected = format!(
        "backend \"onnx\": [path] has no execution provider {lacking:?}; it has {}",
        known.join(", ")
    );
    let options = CompileOptions { device: lacking.into(), ..CompileOptions::default() };
    let error = found.compile(model(), &options).map(|_| ()).unwrap_err();
    assert_eq!(shown(error.to_string()), expected);
    // Nor does a backend of that provider alone have devices.
    let provider = Some(ExecutionProvider { name: lacking.into(), options: vec![] });
    let only = OnnxBackend::new(OnnxOptions { provider, ..OnnxOptions::default() });
    assert_eq!(shown(only.devices().unwrap_err().to_string()), expected);

    // The same bytes elsewhere are another library.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("libonnxruntime.so");
    std::fs::copy(path, &copy).unwrap();
    let error = with_library(&copy).devices().unwrap_err().to_string();
    let error = shown(error.replace(&copy.canonicalize().unwrap().display().to_string(), "[copy]"));
    insta::assert_snapshot!(error, @r#"backend "onnx": [copy] is asked for, this process has loaded [path] already: it can have one library"#);
}
