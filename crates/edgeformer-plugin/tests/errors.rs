//! What is not loaded, and what fails inside: a clear line each, and nothing is torn down.
#![cfg(feature = "host")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use edgeformer_conformance::random_model;
use edgeformer_core::graph::{AdapterScale, GraphBuilder, GraphInput, OutputKind};
use edgeformer_core::{
    AdapterScales, Backend, CompileOptions, Format, Graph, Input, Model, Outputs, SessionOptions,
    Span, Step, Want,
};
use edgeformer_plugin::host::{Digest, libraries, load};

/// Why a file is not loaded, without its path.
fn refusal(path: &Path, allowed: &[Digest]) -> String {
    // SAFETY: it was built from this crate, or is no library.
    let error = unsafe { load(path, allowed) }.map(drop).unwrap_err();
    assert_eq!(error.path, path);
    error.problem.replace(&path.display().to_string(), "PATH")
}

fn graph() -> Graph {
    let mut b = GraphBuilder::new("g", GraphInput::Tokens { vocabulary: 4, context: 8 });
    let x = b.embed("table", 4, 1.0).unwrap();
    b.finish(OutputKind::HiddenStates, x).unwrap()
}

fn model() -> Arc<Model> {
    Arc::new(random_model(graph(), 1, |_| Format::F32).unwrap())
}

#[test]
fn libraries_that_are_no_plugins_are_refused() {
    let told = |name| refusal(&support::path(name), &[]);
    insta::assert_snapshot!(told("empty_plugin"), @"has no symbol edgeformer_backend_v1: it was not made with export_backend!");
    insta::assert_snapshot!(told("future_plugin"), @"speaks version 2 of the interface, this program version 1: build it against the same edgeformer-plugin");
    insta::assert_snapshot!(told("short_plugin"), @"its table has 16 bytes, 192 are needed: build it against the same edgeformer-plugin");
    insta::assert_snapshot!(told("unmade_plugin"), @r#"its backend cannot be made: backend "plugin": the driver is missing"#);
}

#[test]
fn files_that_are_no_libraries_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.so");
    fs::write(&file, "not a library").unwrap();
    let told = refusal(&file, &[]);
    assert!(told.starts_with("is no library that can be loaded here: "), "{told}");
    assert!(refusal(&folder.path().join("absent.so"), &[]).contains("No such file"));
    insta::assert_snapshot!(refusal(folder.path(), &[]), @"is not a regular file");
    insta::assert_snapshot!(
        refusal(Path::new("libplugin.so"), &[]),
        @"plugins have absolute paths: name it from the root on"
    );
}

#[cfg(unix)]
#[test]
fn what_everybody_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("open.so");
    fs::copy(support::path("empty_plugin"), &file).unwrap();
    let open_to_all = |path: &Path| {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o002)).unwrap();
    };
    assert_eq!(libraries(folder.path()).unwrap(), std::slice::from_ref(&file));
    open_to_all(&file);
    insta::assert_snapshot!(refusal(&file, &[]), @"everybody may write to it: chmod o-w it");
    open_to_all(folder.path());
    let told = libraries(folder.path()).unwrap_err().problem;
    insta::assert_snapshot!(told, @"everybody may write to this folder: chmod o-w it");
}

#[test]
fn files_of_other_digests_are_refused() {
    let path = support::path("cpu_plugin");
    let other = Digest::of(&b"another"[..]).unwrap();
    let own = Digest::of(fs::File::open(&path).unwrap()).unwrap();
    let told = refusal(&path, &[other]);
    let expected = format!("its SHA-256 is {own}, which is not among those allowed");
    assert!(told.starts_with(&expected), "{told}");
    // SAFETY: it was built from this crate.
    let loaded = unsafe { load(&path, &[other, own]) }.unwrap();
    assert_eq!(loaded.name(), "cpu");
}

#[test]
fn panics_inside_are_errors() {
    let plugin = support::plugin("panicking_plugin");
    let model = model();
    let device = &plugin.devices().unwrap()[0];
    let unsupported = plugin.check(&model.graph, device).unwrap_err();
    insta::assert_snapshot!(unsupported, @r#"backend "panicking": panicked: nothing can be checked"#);
    let plan = plugin.plan(&model, &CompileOptions::default(), &SessionOptions::default());
    insta::assert_snapshot!(plan.unwrap_err(), @r#"backend "panicking": panicked: nothing can be planned"#);
    let seven = CompileOptions { threads: Some(7), ..CompileOptions::default() };
    let compiled = plugin.compile(model.clone(), &seven).map(drop);
    insta::assert_snapshot!(compiled.unwrap_err(), @r#"backend "panicking": panicked: no message"#);

    let program = plugin.compile(model.clone(), &CompileOptions::default()).unwrap();
    assert_eq!(program.footprint(&SessionOptions::default()).total(), u64::MAX);
    let mut session = program.open(&SessionOptions::default()).unwrap();
    let sequence = session.cache().create().unwrap();
    let span = Span { sequence, input: Input::Tokens(&[1, 2]), want: Want::All };
    let mut run = || session.run(&Step { spans: &[span] }, &mut Outputs::default());
    insta::assert_snapshot!(run().unwrap_err(), @r#"backend "panicking": panicked: index out of bounds"#);
    insta::assert_snapshot!(run().unwrap_err(), @r#"backend "panicking": this session panicked before: open a new one"#);
    assert!(session.cache().create().is_err());
    assert_eq!(session.cache().len(sequence), 0);
}

/// What was built before a function was added to the table serves without it.
#[test]
fn earlier_tables_lack_functions() {
    let mut b = GraphBuilder::new("g", GraphInput::Tokens { vocabulary: 4, context: 8 });
    let x = b.embed("table", 4, 1.0).unwrap();
    let scale = AdapterScale { adapter: 0, factor: 1.0, usual: 0.5 };
    let x = b.adapter_scale(x, scale).unwrap();
    let graph = b.finish(OutputKind::HiddenStates, x).unwrap();
    let model = Arc::new(random_model(graph, 1, |_| Format::F32).unwrap());
    let rows = |name, scales: &AdapterScales| {
        let program = support::plugin(name).compile(model.clone(), &CompileOptions::default());
        let mut session = program.unwrap().open(&SessionOptions::default()).unwrap();
        let sequence = session.cache().create().unwrap();
        session.cache().set_adapters(sequence, scales).map_err(|error| error.to_string())?;
        let span = Span { sequence, input: Input::Tokens(&[1, 2]), want: Want::All };
        let mut outputs = Outputs::default();
        session.run(&Step { spans: &[span] }, &mut outputs).unwrap();
        Ok(outputs.rows().data().to_vec())
    };
    let twice = AdapterScales::new(&[1.0]).unwrap();
    let usual: Vec<f32> = rows("earlier_plugin", &AdapterScales::USUAL).unwrap();
    let expected: Vec<f32> = usual.iter().map(|value| 2.0 * value).collect();
    assert_eq!(rows("cpu_plugin", &AdapterScales::USUAL).unwrap(), usual);
    assert_eq!(rows("cpu_plugin", &twice).unwrap(), expected);
    let told: String = rows("earlier_plugin", &twice).unwrap_err();
    insta::assert_snapshot!(told, @r#"backend "cpu": it was built before sequences had adapters of their own: build it against this edgeformer-plugin"#);
}

/// Weights are lent: when nobody runs the model any more, nobody holds it.
#[test]
fn the_loan_of_a_model_ends() {
    let plugin = support::plugin("cpu_plugin");
    let model = model();
    plugin.plan(&model, &CompileOptions::default(), &SessionOptions::default()).unwrap();
    assert_eq!(Arc::strong_count(&model), 1);
    let wrong = CompileOptions { device: "nowhere".into(), ..CompileOptions::default() };
    assert!(plugin.compile(model.clone(), &wrong).is_err());
    assert_eq!(Arc::strong_count(&model), 1, "also if it is refused");
    let program = plugin.compile(model.clone(), &CompileOptions::default()).unwrap();
    let session = program.clone().open(&SessionOptions::default()).unwrap();
    assert!(Arc::strong_count(&model) > 1);
    drop(program);
    drop(session);
    assert_eq!(Arc::strong_count(&model), 1);
}
