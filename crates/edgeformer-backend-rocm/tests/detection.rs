//! Machines with and without GPUs, and what is said of each.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::PathBuf;

use support::Machine;

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
    insta::assert_snapshot!(machine.refusal(nowhere()), @"");

    let machine = Machine::new();
    std::fs::remove_dir_all(machine.path().join("sys")).unwrap();
    insta::assert_snapshot!(machine.refusal(nowhere()), @"");
}

#[test]
fn there_may_be_no_driver() {
    let machine = Machine::new();
    machine.on_the_bus("0000:03:00.0", "0x1002", "0x030000");
    insta::assert_snapshot!(machine.refusal(nowhere()), @"");

    machine.write("sys/module/amdgpu/refcnt", "1\n");
    insta::assert_snapshot!(machine.refusal(nowhere()), @"");
}

#[test]
fn the_driver_may_show_no_gpu() {
    insta::assert_snapshot!(Machine::with_driver().refusal(nowhere()), @"");

    let mut machine = Machine::with_driver();
    machine.node("simd_count 4\nvendor_id 4098\ngfx_target_version 7\n", "", 0);
    insta::assert_snapshot!(machine.refusal(nowhere()), @"");

    let machine = Machine::with_driver();
    let properties = "sys/class/kfd/kfd/topology/nodes/1/properties";
    std::fs::create_dir_all(machine.path().join(properties)).unwrap();
    insta::assert_snapshot!(machine.refusal(nowhere()), @"");
}

#[test]
fn the_device_file_may_be_missing() {
    let machine = one_gpu();
    std::fs::remove_file(machine.path().join("dev/kfd")).unwrap();
    insta::assert_snapshot!(machine.refusal(nowhere()), @"");
}

#[test]
fn rocm_may_be_missing_or_broken() {
    let machine = one_gpu();
    insta::assert_snapshot!(machine.refusal(nowhere()), @"");

    machine.library("hip_empty", "libhsa-runtime64.so.1");
    insta::assert_snapshot!(machine.refusal(nowhere()), @"");

    machine.library("hip_empty", "libamdhip64.so.6");
    insta::assert_snapshot!(machine.refusal(nowhere()), @"");

    machine.write("lib/libamdhip64.so.7", "a text");
    std::fs::remove_file(machine.path().join("lib/libamdhip64.so.6")).unwrap();
    insta::assert_snapshot!(machine.refusal(nowhere()), @"");
}

#[test]
fn hip_may_refuse() {
    let machine = one_gpu();
    machine.hip("hip_refusing");
    insta::assert_snapshot!(machine.refusal(nowhere()), @"");

    let machine = one_gpu();
    machine.hip("hip_no_gpu");
    insta::assert_snapshot!(machine.refusal(nowhere()), @"");
}

#[test]
fn onnx_runtime_is_looked_for_last() {
    let machine = one_gpu();
    machine.hip("hip_silent");
    insta::assert_snapshot!(machine.refusal(nowhere()), @"");
}

/// The other user must not be root, for whom every file is open.
#[test]
fn the_device_file_may_belong_to_another_group() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;
    if let Some(folder) = std::env::var_os("ROCM_TEST_DENIED") {
        let machine = Machine::at(folder.into());
        println!("refused: {}", machine.refusal(nowhere()));
        return;
    }
    let machine = one_gpu();
    machine.write("etc/group", "root:x:0:\nrender:x:105:\n");
    let kfd = machine.path().join("dev/kfd");
    if std::os::unix::fs::chown(&kfd, Some(0), Some(105)).is_err() {
        println!("skipped: only root can give a file to a group that it is not in");
        return;
    }
    let open = std::fs::Permissions::from_mode;
    std::fs::set_permissions(machine.path(), open(0o755)).unwrap();
    std::fs::set_permissions(&kfd, open(0o660)).unwrap();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_device_file_may_belong_to_another_group", "--nocapture"]);
    let output = command.uid(NOBODY).gid(NOBODY).env("ROCM_TEST_DENIED", machine.path()).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let line = text.lines().find_map(|line| line.split_once("refused: ")).unwrap().1;
    insta::assert_snapshot!(machine.shown(line), @"");
}
