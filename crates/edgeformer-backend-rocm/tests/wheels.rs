//! AMD's own builds of ONNX Runtime, loaded without a GPU. The libraries are those of the Python
//! packages; none of what they need is installed here.
//!
//! ```text
//! pip download --no-deps onnxruntime-migraphx==1.27.1 onnxruntime-rocm==1.22.2.post3
//! unzip onnxruntime_migraphx-*.whl 'onnxruntime/capi/libonnxruntime*' -d migraphx
//! EDGEFORMER_TEST_ORT_MIGRAPHX=migraphx/onnxruntime/capi cargo test -p edgeformer-backend-rocm --test wheels
//! ```
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgeformer_conformance::random_model;
use edgeformer_core::graph::{GraphBuilder, GraphInput, OutputKind};
use edgeformer_core::{Backend, CompileOptions, Format, Model};
use support::Machine;

/// The folder with a build's libraries, if there is one.
fn build(variable: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: {variable} names no folder with the libraries of that Python package");
    }
    folder
}

/// Two GPUs with HIP, and nothing else of ROCm.
fn two_gpus() -> Machine {
    let mut machine = Machine::with_driver();
    machine.gpu(90_402, 0x03, "aqua_vanjaram", 206_141_652_992);
    machine.gpu(110_000, 0x43, "navi31", 25_753_026_560);
    machine.write("sys/module/amdgpu/version", "6.16.6\n");
    machine.hip("hip_two_gpus");
    machine
}

fn shown(machine: &Machine, folder: &Path, text: &str) -> String {
    let folder = folder.canonicalize().unwrap();
    machine.shown(text).replace(&folder.display().to_string(), "[wheel]")
}

fn model() -> Arc<Model> {
    let input = GraphInput::Tokens { vocabulary: 64, context: 8 };
    let mut builder = GraphBuilder::new("model", input);
    let x = builder.embed("table", 32, 1.0).unwrap();
    let x = builder.linear(x, "out", 64, false).unwrap();
    let graph = builder.finish(OutputKind::Logits, x).unwrap();
    Arc::new(random_model(graph, 1, |_| Format::F32).unwrap())
}

#[test]
fn the_rocm_provider_is_refused_by_its_version() {
    let Some(folder) = build("EDGEFORMER_TEST_ORT_ROCM") else { return };
    let machine = two_gpus();
    let refusal = machine.refusal(Some(folder.clone()));
    insta::assert_snapshot!(shown(&machine, &folder, &refusal), @r#"backend "rocm": [wheel]/libonnxruntime.so.1.22.2 is ONNX Runtime 1.22.2 with the ROCm provider, which later versions do not have: set EDGEFORMER_ORT to the libonnxruntime.so of the Python package onnxruntime-migraphx, 1.23 or newer"#);
}

#[test]
fn migraphx_itself_may_be_missing() {
    let Some(folder) = build("EDGEFORMER_TEST_ORT_MIGRAPHX") else { return };
    let machine = two_gpus();
    let refusal = machine.refusal(Some(folder.clone()));
    insta::assert_snapshot!(shown(&machine, &folder, &refusal), @r#"backend "rocm": [wheel]/libonnxruntime_providers_migraphx.so needs libmigraphx_c.so.3 of ROCm 7.2.4: MIGraphX is not installed: nothing named libmigraphx_c.so.3 is in [machine]/lib or the loader's path; install ROCm's package migraphx (ROCm 6 or 7), or set ROCM_PATH; or take an onnxruntime-migraphx that was built for the ROCm that is installed"#);
}

#[test]
fn hip_may_be_of_another_version_than_the_provider_needs() {
    let Some(folder) = build("EDGEFORMER_TEST_ORT_MIGRAPHX") else { return };
    let machine = two_gpus();
    let lib = machine.path().join("lib");
    std::fs::rename(lib.join("libamdhip64.so.7"), lib.join("libamdhip64.so.6")).unwrap();
    let refusal = machine.refusal(Some(folder.clone()));
    insta::assert_snapshot!(shown(&machine, &folder, &refusal), @r#"backend "rocm": [wheel]/libonnxruntime_providers_migraphx.so needs libamdhip64.so.7 of ROCm 7.2.4: the HIP runtime is not installed: nothing named libamdhip64.so.7 is in [machine]/lib or the loader's path; install ROCm's package hip-runtime-amd (ROCm 6 or 7), or set ROCM_PATH; or take an onnxruntime-migraphx that was built for the ROCm that is installed"#);
}

/// With everything there the GPUs are listed, in HIP's order. What stands in for MIGraphX here has
/// nothing in it: the provider says so when a model is compiled.
#[test]
fn gpus_are_listed_and_a_provider_that_fails_says_why() {
    let Some(folder) = build("EDGEFORMER_TEST_ORT_MIGRAPHX") else { return };
    let machine = two_gpus();
    machine.library("hip_empty", "libmigraphx_c.so.3");
    let backend = machine.backend(Some(folder.clone()));

    let listed = backend.devices().unwrap().into_iter().map(|device| {
        let facts = device.facts.iter().map(|(name, value)| format!("\n  {name}: {value}"));
        let facts: String = facts.collect();
        format!("{}  {} (score {}){facts}\n", device.id, device.description, device.score)
    });
    let listed: String = listed.collect();
    insta::assert_snapshot!(shown(&machine, &folder, &listed), @"
0  AMD Radeon RX 7900 XTX (score 200)
  instruction set: gfx1100
  memory: 24.0 GiB
  PCI slot: 0000:43:00.0
  PCI device: 1002:744c
  driver: amdgpu 6.16.6
  HIP: 7.2.53211
  ONNX Runtime: 1.27.1 with MIGraphX
  library: [wheel]/libonnxruntime.so.1.27.1
  precision: model
1  AMD Instinct MI300X (score 200)
  instruction set: gfx942
  memory: 192.0 GiB
  PCI slot: 0000:03:00.0
  PCI device: 1002:744c
  driver: amdgpu 6.16.6
  HIP: 7.2.53211
  ONNX Runtime: 1.27.1 with MIGraphX
  library: [wheel]/libonnxruntime.so.1.27.1
  precision: model
");

    let compile = |device: &str| {
        let options = CompileOptions { device: device.into(), ..CompileOptions::default() };
        let error = backend.compile(model(), &options).err().unwrap();
        shown(&machine, &folder, &error.to_string())
    };
    insta::assert_snapshot!(compile("2"), @r#"backend "rocm": there is no GPU "2", there are 0, 1"#);
    let refused = compile("1");
    assert!(refused.starts_with("backend \"rocm\": ONNX Runtime: "), "{refused}");
    assert!(refused.contains("libonnxruntime_providers_migraphx.so"), "{refused}");
    assert!(!refused.contains('\n'), "{refused}");
    println!("{refused}");
}
