//! Machines with and without GPUs, and what is said of each.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use edgeformer_backend_onnx::{OnnxBackend, OnnxOptions};
use edgeformer_conformance::random_model;
use edgeformer_core::graph::{GraphBuilder, GraphInput, OutputKind};
use edgeformer_core::{Backend, CompileOptions, Format, SessionOptions};
use support::Machine;

/// The machine that another user is asked about.
const AS_NOBODY: &str = "ROCM_TEST_AS_NOBODY";

/// A library that is nowhere: what is asked of ROCm comes before it.
fn nowhere() -> Option<PathBuf> {
    Some("/nowhere/libonnxruntime.so".into())
}

fn one_gpu() -> Machine {
    let mut machine = Machine::with_driver();
    machine.gpu(110_000, 0x03, "navi31", 25_753_026_560);
    machine
}

#[test]
fn there_may_be_no_gpu() {
    let machine = Machine::new();
    machine.on_the_bus("0000:01:00.0", "0x10de", "0x030200");
    machine.on_the_bus("0000:02:00.0", "0x1002", "0x040300");
    insta::assert_snapshot!(machine.refusal(nowhere()), @r#"backend "rocm": there is no AMD GPU: no display controller or accelerator of AMD's (vendor 0x1002) is in [machine]/sys/bus/pci/devices"#);

    let machine = Machine::new();
    fs::remove_dir_all(machine.path().join("sys")).unwrap();
    insta::assert_snapshot!(machine.refusal(nowhere()), @r#"backend "rocm": AMD GPUs are found in Linux's [machine]/sys, which is not here: use another --backend"#);
}

#[test]
fn there_may_be_no_driver() {
    let machine = Machine::new();
    machine.on_the_bus("0000:03:00.0", "0x1002", "0x030000");
    insta::assert_snapshot!(machine.refusal(nowhere()), @r#"backend "rocm": there is an AMD GPU in PCI slot 0000:03:00.0, its kernel driver amdgpu is not loaded: run `sudo modprobe amdgpu`, or install AMD's package amdgpu-dkms"#);

    machine.write("sys/module/amdgpu/refcnt", "1\n");
    insta::assert_snapshot!(machine.refusal(nowhere()), @r#"backend "rocm": the driver amdgpu does not offer the GPU in PCI slot 0000:03:00.0 for computing ([machine]/sys/class/kfd/kfd/topology/nodes is absent): boot a kernel built with CONFIG_HSA_AMD, or install AMD's package amdgpu-dkms"#);
}

#[test]
fn the_driver_may_show_no_gpu() {
    insta::assert_snapshot!(Machine::with_driver().refusal(nowhere()), @r#"backend "rocm": the driver amdgpu offers processors alone for computing ([machine]/sys/class/kfd/kfd/topology/nodes): the GPU is not one that ROCm supports, or none is plugged in"#);

    let mut machine = Machine::with_driver();
    machine.node("simd_count 4\nvendor_id 4098\ngfx_target_version 7\n", "", 0);
    insta::assert_snapshot!(machine.refusal(nowhere()), @r#"backend "rocm": [machine]/sys/class/kfd/kfd/topology/nodes/1/properties: gfx_target_version 7 is no instruction set: major * 10000 + minor * 100 + stepping; update the kernel or AMD's package amdgpu-dkms"#);

    let machine = Machine::with_driver();
    let properties = "sys/class/kfd/kfd/topology/nodes/1/properties";
    fs::create_dir_all(machine.path().join(properties)).unwrap();
    insta::assert_snapshot!(machine.refusal(nowhere()), @r#"backend "rocm": [machine]/sys/class/kfd/kfd/topology/nodes/1/properties cannot be read: Is a directory (os error 21); run `cat [machine]/sys/class/kfd/kfd/topology/nodes/1/properties`, and update the kernel if that fails too"#);
}

#[test]
fn the_device_file_may_be_missing() {
    let machine = one_gpu();
    fs::remove_file(machine.path().join("dev/kfd")).unwrap();
    insta::assert_snapshot!(machine.refusal(nowhere()), @r#"backend "rocm": [machine]/dev/kfd is absent, though the driver is loaded: start the container with --device /dev/kfd --device /dev/dri"#);
}

#[test]
fn rocm_may_be_missing_or_broken() {
    let machine = one_gpu();
    insta::assert_snapshot!(machine.refusal(nowhere()), @r#"backend "rocm": the HSA runtime is not installed: nothing named libhsa-runtime64.so.1 is in [machine]/lib or the loader's path; install ROCm's package hsa-rocr (ROCm 6 or 7), or set ROCM_PATH"#);

    machine.library("hip_empty", "libhsa-runtime64.so.1");
    insta::assert_snapshot!(machine.refusal(nowhere()), @r#"backend "rocm": the HIP runtime is not installed: nothing named libamdhip64.so.7, libamdhip64.so.6, libamdhip64.so is in [machine]/lib or the loader's path; install ROCm's package hip-runtime-amd (ROCm 6 or 7), or set ROCM_PATH"#);

    machine.library("hip_empty", "libamdhip64.so.6");
    insta::assert_snapshot!(machine.refusal(nowhere()), @r#"backend "rocm": [machine]/lib/libamdhip64.so.6 is not HIP of ROCm 6 or 7: it has no function hipRuntimeGetVersion; install ROCm's package hip-runtime-amd"#);

    machine.write("lib/libamdhip64.so.7", "a text");
    fs::remove_file(machine.path().join("lib/libamdhip64.so.6")).unwrap();
    insta::assert_snapshot!(machine.refusal(nowhere()), @r#"backend "rocm": the HIP runtime cannot be loaded from [machine]/lib/libamdhip64.so.7: file too short; install ROCm's package hip-runtime-amd again"#);
}

#[test]
fn hip_may_refuse() {
    let machine = one_gpu();
    machine.hip("hip_refusing");
    insta::assert_snapshot!(machine.refusal(nowhere()), @r#"backend "rocm": HIP's hipGetDeviceCount fails with 3 (initialization error): run `rocminfo`, whose words say more"#);

    let machine = one_gpu();
    machine.hip("hip_no_gpu");
    insta::assert_snapshot!(machine.refusal(nowhere()), @r#"backend "rocm": HIP 6.4.43482 lets this process use none of 1 GPUs: unset HIP_VISIBLE_DEVICES and ROCR_VISIBLE_DEVICES, or install a ROCm that supports gfx1100"#);
}

#[test]
fn onnx_runtime_is_looked_for_last() {
    let machine = one_gpu();
    machine.hip("hip_silent");
    insta::assert_snapshot!(machine.refusal(nowhere()), @r#"backend "rocm": there is no ONNX Runtime for AMD GPUs: /nowhere/libonnxruntime.so, which the option names, is not there: correct it, or run `cargo xtask setup-ort`; what it must be is that of the Python package onnxruntime-migraphx (`pip install onnxruntime-migraphx`), named by EDGEFORMER_ORT"#);
}

/// MIGraphX knows no codes of eight bits, and reads attention otherwise: its graphs are others, which
/// shows without a GPU in what they take.
#[test]
fn graphs_keep_to_what_migraphx_knows() {
    let input = GraphInput::Tokens { vocabulary: 64, context: 8 };
    let mut builder = GraphBuilder::new("model", input);
    let x = builder.embed("table", 32, 1.0).unwrap();
    let x = builder.linear(x, "out", 64, false).unwrap();
    let graph = builder.finish(OutputKind::Logits, x).unwrap();
    let model = random_model(graph, 1, |_| Format::Q8_0).unwrap();
    let weights = |backend: &dyn Backend, device: &str| {
        let compile = CompileOptions { device: device.into(), ..CompileOptions::default() };
        backend.plan(&model, &compile, &SessionOptions::default()).unwrap().weights
    };
    let here = weights(&Machine::new().backend(None), "0");
    assert_eq!(here, weights(&OnnxBackend::new(OnnxOptions::default()), "migraphx"));
    assert!(here > weights(&OnnxBackend::new(OnnxOptions::default()), "cpu"));
}

/// What another user than root is told of that machine: for root every file is open. `None` where
/// this is not root, who alone can be another.
fn refusal_for_nobody(machine: &Machine, test: &str) -> Option<String> {
    const NOBODY: u32 = 65_534;
    std::os::unix::fs::chown(machine.path(), Some(NOBODY), None).ok().or_else(|| {
        println!("skipped: only root can ask as another user");
        None
    })?;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(AS_NOBODY, machine.path());
    let output = command.uid(NOBODY).gid(NOBODY).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, line) = text.lines().find_map(|line| line.split_once("refused: ")).unwrap();
    Some(machine.shown(line))
}

/// Whether this process is the other user's: then it has told.
fn is_nobody() -> bool {
    let Some(folder) = std::env::var_os(AS_NOBODY) else { return false };
    println!("refused: {}", Machine::at(folder.into()).refusal(nowhere()));
    true
}

#[test]
fn the_device_file_may_belong_to_another_group() {
    if is_nobody() {
        return;
    }
    let machine = one_gpu();
    machine.write("etc/group", "root:x:0:\nrender:x:105:\n");
    let kfd = machine.path().join("dev/kfd");
    fs::set_permissions(&kfd, Permissions::from_mode(0o660)).unwrap();
    if std::os::unix::fs::chown(&kfd, Some(0), Some(105)).is_err() {
        println!("skipped: only root can give a file to a group that it is not in");
        return;
    }
    let test = "the_device_file_may_belong_to_another_group";
    let Some(refusal) = refusal_for_nobody(&machine, test) else { return };
    insta::assert_snapshot!(refusal, @r#"backend "rocm": [machine]/dev/kfd may not be opened, it belongs to group render: run `sudo usermod -aG render,video $USER` and log in again (in a container: --group-add render --group-add video)"#);
}

#[test]
fn the_gpus_may_be_hidden() {
    if is_nobody() {
        return;
    }
    let machine = one_gpu();
    let properties = machine.path().join("sys/class/kfd/kfd/topology/nodes/1/properties");
    fs::set_permissions(&properties, Permissions::from_mode(0o000)).unwrap();
    let Some(refusal) = refusal_for_nobody(&machine, "the_gpus_may_be_hidden") else { return };
    insta::assert_snapshot!(refusal, @r#"backend "rocm": none of the 1 GPUs in [machine]/sys/class/kfd/kfd/topology/nodes may be seen from here: start the container with --device /dev/kfd --device /dev/dri"#);
}
