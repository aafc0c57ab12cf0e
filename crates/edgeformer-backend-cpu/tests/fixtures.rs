//! Every reference model, computed by PyTorch or from its own dequantized tensors.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgeformer_backend_cpu::{CpuBackend, CpuOptions};
use edgeformer_conformance::shared;
use edgeformer_core::{
    Backend, CacheFormat, CompileOptions, Input, Model, Outputs, Program, Session, SessionOptions,
    Span, Step, Want,
};
use edgeformer_models::safetensors::Safetensors;
use edgeformer_models::{OpenOptions, open_with};

fn entries(folder: &str) -> Vec<PathBuf> {
    let Some(folder) = shared(folder) else { return Vec::new() };
    let mut all: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

fn model(path: &Path) -> Arc<Model> {
    open_with(path, &OpenOptions { tokenizer: false }).unwrap().model
}

fn compile(model: &Arc<Model>, isa: &str) -> Option<Arc<dyn Program>> {
    let backend = CpuBackend::new(&CpuOptions { isa: Some(isa.into()) }).ok()?;
    let options = CompileOptions { threads: Some(2), ..CompileOptions::default() };
    Some(backend.compile(model.clone(), &options).unwrap())
}

fn session(program: &Arc<dyn Program>) -> Box<dyn Session> {
    let options = SessionOptions {
        context: 512,
        cache_type_k: CacheFormat::F32,
        cache_type_v: CacheFormat::F32,
        ..SessionOptions::default()
    };
    program.clone().open(&options).unwrap()
}

fn floats(tensors: &Safetensors, name: &str) -> Vec<f32> {
    tensors.tensor(name).unwrap().to_f32()
}

fn tokens(tensors: &Safetensors, name: &str) -> Vec<u32> {
    tensors.integers(name).unwrap().unwrap().iter().map(|id| id as u32).collect()
}

fn error(got: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let sum = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let difference = sum(&mut got.iter().zip(expected).map(|(a, b)| f64::from(a - b)));
    (difference / sum(&mut expected.iter().map(|&b| f64::from(b)))).sqrt()
}

fn run(session: &mut dyn Session, input: Input<'_>, chunk: usize) -> Vec<f32> {
    let sequence = session.cache().create().unwrap();
    let mut outputs = Outputs::default();
    let mut all = Vec::new();
    let mut feed = |input| {
        let spans = [Span { sequence, input, want: Want::All }];
        session.run(&Step { spans: &spans }, &mut outputs).unwrap();
        all.extend_from_slice(outputs.rows().data());
    };
    match input {
        Input::Tokens(tokens) => tokens.chunks(chunk).for_each(|part| feed(Input::Tokens(part))),
        other => feed(other),
    }
    all
}

fn best(row: &[f32]) -> (u32, f32) {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    (order[0] as u32, row[order[0]] - row[order[1]])
}

/// Continues greedily; stops comparing where the margin is too small to matter.
fn greedy(session: &mut dyn Session, prompt: &[u32], expected: &[u32]) {
    let sequence = session.cache().create().unwrap();
    let mut outputs = Outputs::default();
    let mut next = prompt.to_vec();
    for &token in expected {
        let spans = [Span { sequence, input: Input::Tokens(&next), want: Want::Last }];
        session.run(&Step { spans: &spans }, &mut outputs).unwrap();
        let (got, margin) = best(outputs.rows().row(0));
        if margin > 1e-3 {
            assert_eq!(got, token);
        }
        next = vec![token];
    }
}

#[test]
fn hugging_face_models() {
    let mut failed = Vec::new();
    for folder in entries("fixtures/hf") {
        let model = model(&folder);
        let tensors = Safetensors::open(&folder.join("expected.safetensors")).unwrap();
        let output = model.graph.output.kind.tensor_name();
        let expected = floats(&tensors, output);
        for isa in ["scalar", "avx2"] {
            let Some(program) = compile(&model, isa) else { continue };
            let mut session = session(&program);
            let name = format!("{} {isa}", folder.file_name().unwrap().display());
            if tensors.info("pixel_values").is_some() {
                let pixels = floats(&tensors, "pixel_values");
                let error = error(&run(session.as_mut(), Input::Pixels(&pixels), 1), &expected);
                println!("{name}: {error:.2e}");
                if error.is_nan() || error > 1e-4 {
                    failed.push(name);
                }
                continue;
            }
            let ids = tokens(&tensors, "input_ids");
            let chunks: &[usize] =
                if model.graph.is_causal() { &[1 << 20, 7, 1] } else { &[1 << 20] };
            for &chunk in chunks {
                let got = run(session.as_mut(), Input::Tokens(&ids), chunk);
                let error = error(&got, &expected);
                println!("{name}, chunk {chunk}: {error:.2e}");
                if error.is_nan() || error > 1e-4 {
                    failed.push(format!("{name} {chunk}"));
                }
            }
            if tensors.info("greedy").is_some() {
                greedy(session.as_mut(), &ids, &tokens(&tensors, "greedy"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn block_formats() {
    let mut failed = Vec::new();
    for file in entries("fixtures/gguf-blocks") {
        if file.extension().is_none_or(|extension| extension != "gguf") {
            continue;
        }
        let model = model(&file);
        let tensors = Safetensors::open(&file.with_extension("expected.safetensors")).unwrap();
        let (ids, expected) = (tokens(&tensors, "input_ids"), floats(&tensors, "logits"));
        let name = file.file_stem().unwrap().display().to_string();
        let bound = if name.ends_with("f16") { 2e-3 } else { 2.5e-2 };
        for isa in ["scalar", "avx2"] {
            let Some(program) = compile(&model, isa) else { continue };
            let error = error(&run(session(&program).as_mut(), Input::Tokens(&ids), 16), &expected);
            println!("{name} {isa}: {error:.2e}");
            if error.is_nan() || error > bound {
                failed.push(format!("{name} {isa}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn a_real_vision_transformer() {
    let Some(folder) = shared("models/vit-tiny-imagenet") else { return };
    let model = model(&folder);
    let tensors = Safetensors::open(&folder.join("expected.safetensors")).unwrap();
    let (pixels, expected) = (floats(&tensors, "pixel_values"), floats(&tensors, "logits"));
    for isa in ["scalar", "avx2"] {
        let Some(program) = compile(&model, isa) else { continue };
        let mut session = session(&program);
        let got: Vec<f32> = pixels
            .chunks(pixels.len() / 3)
            .flat_map(|image| run(session.as_mut(), Input::Pixels(image), 1))
            .collect();
        let error = error(&got, &expected);
        println!("vit {isa}: {error:.2e}");
        assert!(error < 1e-4);
    }
}
