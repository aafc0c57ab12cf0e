//! What is refused, and in which words: one line each, that says what to do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;

use edgeformer_backend_onnx::OnnxBackend;
use edgeformer_core::{
    Backend, CacheFormat, CompileOptions, Format, SessionOptions, Visibility, Window,
};

use support::{model, model_in, with_library};

fn refused(backend: &OnnxBackend, path: &Path) -> String {
    let error = backend.devices().unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error.replace(&path.canonicalize().unwrap_or(path.into()).display().to_string(), "[path]")
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
