//! The backend `onnx`, where ONNX Runtime is found.

use std::ffi::OsString;

use edgeformer_conformance::shared;

use crate::support::{edgeformer, refusal, stdout};

/// What is written is the same in every run.
const FIXED: &[&str] = &["--temperature", "0", "-n", "40"];

/// The library that the developer has named or installed.
fn library() -> Option<OsString> {
    let named = ["EDGEFORMER_ORT", "ORT_DYLIB_PATH"].into_iter().find_map(std::env::var_os);
    let installed = edgeformer::Config::default()
        .cache_folder()
        .map(|folder| folder.join("onnxruntime"))
        .filter(|folder| folder.is_dir())
        .map(Into::into);
    let found = named.or(installed);
    if found.is_none() {
        println!("skipped: there is no ONNX Runtime library (cargo xtask setup-ort)");
    }
    found
}

#[test]
fn it_writes_what_the_cpu_backend_writes() {
    let (Some(library), Some(model)) = (library(), shared("models/stories260k/hf")) else { return };
    let model = model.to_str().unwrap();
    let write = |backend| {
        let arguments =
            [&["generate", "Once upon a time", "--model", model], FIXED, &["--backend", backend]];
        let output =
            edgeformer(&arguments.concat()).env("EDGEFORMER_ORT", &library).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let expected = write("cpu");
    assert!(expected.len() > 80, "{expected}");
    assert_eq!(write("onnx"), expected);
    assert_eq!(write("onnx/cpu"), expected);
}

#[test]
fn a_provider_that_the_library_lacks_is_no_device() {
    let Some(library) = library() else { return };
    let mut command = edgeformer(&["generate", "x", "--backend", "onnx/qnn"]);
    let output = command.env("EDGEFORMER_ORT", &library).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("onnx") && said.contains("qnn"), "{said}");
}

#[test]
fn without_a_library_it_says_where_it_looked() {
    let mut command = edgeformer(&["generate", "x", "--backend", "onnx"]);
    command.env_remove("ORT_DYLIB_PATH").env("XDG_CACHE_HOME", "/nowhere");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    insta::assert_snapshot!(said.trim_end(), @"error: no backend can run this graph: onnx: there is no ONNX Runtime library: looked for EDGEFORMER_ORT, ORT_DYLIB_PATH, /nowhere/edgeformer/onnxruntime; run `cargo xtask setup-ort`, or set EDGEFORMER_ORT to a libonnxruntime of version 1.23 or newer");
}

#[test]
fn a_model_is_exported_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let path = path.to_str().unwrap();
    let said = stdout(&["export", "--onnx", path, "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["onnx"], path);
    assert_eq!(std::fs::metadata(said["data"].as_str().unwrap()).unwrap().len(), said["bytes"]);
    assert!(refusal(&["export", "--onnx", path], 1).contains("--force"));
    stdout(&["export", "--onnx", path, "--force", "--quiet"]);
}
