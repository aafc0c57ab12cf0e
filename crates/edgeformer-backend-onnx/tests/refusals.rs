//! What is refused, and in which words: one line each, that says what to do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use edgeformer_backend_onnx::{ExecutionProvider, OnnxBackend, OnnxOptions};
use edgeformer_conformance::random_model;
use edgeformer_core::graph::{GraphBuilder, GraphInput, OutputKind};
use edgeformer_core::{
    Backend, CacheFormat, CompileOptions, Format, Model, SessionOptions, Visibility, Window,
};

fn with_library(path: &Path) -> OnnxBackend {
    OnnxBackend::new(OnnxOptions { library: Some(path.into()), ..OnnxOptions::default() })
}

fn refused(backend: &OnnxBackend, path: &Path) -> String {
    let error = backend.devices().unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error.replace(&path.canonicalize().unwrap_or(path.into()).display().to_string(), "[path]")
}

fn model() -> Arc<Model> {
    model_in(Format::F32)
}

fn model_in(format: Format) -> Arc<Model> {
    let input = GraphInput::Tokens { vocabulary: 16, context: 32 };
    let mut b = GraphBuilder::new("small", input);
    let x = b.embed("token_embd.weight", 8, 1.0).unwrap();
    let x = b.linear(x, "output", 16, false).unwrap();
    let graph = b.finish(OutputKind::Logits, x).unwrap();
    Arc::new(random_model(graph, 1, |_| format).unwrap())
}

/// Some shared library that this test itself has loaded.
fn any_library() -> Option<std::path::PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    paths.find(|path| path.contains("libc.so")).map(Into::into)
}

#[test]
fn a_library_that_is_not_there() {
    let path = Path::new("/nowhere/libonnxruntime.so");
    insta::assert_snapshot!(refused(&with_library(path), path), @r#"backend "onnx": [path], which the option names, is not there: correct it, or run `cargo xtask setup-ort`"#);
}

#[test]
fn a_text_instead_of_a_library() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libonnxruntime.so");
    std::fs::write(&path, "no library\n").unwrap();
    insta::assert_snapshot!(refused(&with_library(&path), &path), @r#"backend "onnx": [path] is not a shared library that can be loaded here: its first bytes are no library's"#);
}

#[test]
fn a_library_that_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libonnxruntime.so");
    std::fs::write(&path, b"\x7fELF").unwrap();
    let refused = refused(&with_library(&path), &path);
    let begin = r#"backend "onnx": [path] is not a shared library that can be loaded here: "#;
    assert!(refused.starts_with(begin), "{refused}");
}

#[test]
fn another_library() {
    let Some(path) = any_library() else { return };
    insta::assert_snapshot!(refused(&with_library(&path), &path), @r#"backend "onnx": [path] is a library, but not ONNX Runtime: it has no symbol OrtGetApiBase"#);
}

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

#[test]
fn settings_that_it_does_not_have() {
    let backend = OnnxBackend::default();
    let model = model();
    let plan = |compile: CompileOptions, session: SessionOptions| {
        backend.plan(&model, &compile, &session).unwrap_err().to_string()
    };
    let compile = CompileOptions { threads_batch: Some(3), ..CompileOptions::default() };
    insta::assert_snapshot!(plan(compile, SessionOptions::default()), @"configuration: threads_batch differs from threads: ONNX Runtime has one pool for both, leave threads_batch out");
    let compile = CompileOptions { threads: Some(0), ..CompileOptions::default() };
    insta::assert_snapshot!(plan(compile, SessionOptions::default()), @"configuration: threads is 0, it must be 1 to 1024");
    let visibility = Visibility { window: Window::Heads(Arc::default()), ..Visibility::default() };
    let session = SessionOptions { visibility, ..SessionOptions::default() };
    insta::assert_snapshot!(plan(CompileOptions::default(), session), @r#"configuration: backend "onnx" has no windows by head; leave that out, or use the backend "cpu""#);
    // The graph caches nothing, so that formats of the cache are all the same to it.
    let session = SessionOptions { cache_type_k: CacheFormat::Q8_0, ..SessionOptions::default() };
    assert!(backend.plan(&model, &CompileOptions::default(), &session).is_ok());
}

/// What is widened is packed, and counted twice then; what lies in the file is neither.
#[test]
fn packed_weights_are_planned_twice() {
    let weights = |format, repack| {
        let compile = CompileOptions { repack, ..CompileOptions::default() };
        let session = SessionOptions::default();
        OnnxBackend::default().plan(&model_in(format), &compile, &session).unwrap().weights
    };
    assert_eq!(weights(Format::F16, true), 2 * weights(Format::F16, false));
    assert_eq!(weights(Format::F32, true), weights(Format::F32, false));
}
