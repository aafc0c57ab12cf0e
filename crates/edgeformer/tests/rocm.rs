//! The binary with the ROCm backend, on a machine as it is:
//!
//! ```text
//! cargo test -p edgeformer --features rocm --test rocm
//! ```
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;

use support::{edgeformer, refusal, stdout};

/// Whether there is a driver for AMD GPUs: then its tests are the backend's own.
fn has_driver() -> bool {
    let found = Path::new("/sys/class/kfd").exists();
    if found {
        println!("skipped: this machine has a driver for AMD GPUs");
    }
    found
}

/// The one line of a listing that begins so.
fn line<'a>(text: &'a str, start: &str) -> &'a str {
    let mut lines = text.lines().filter(|line| line.starts_with(start));
    let line = lines.next().unwrap_or_else(|| panic!("no line {start:?} in {text}"));
    assert_eq!(lines.next(), None);
    line
}

const NO_GPU: &str = "there is no AMD GPU: no display controller or accelerator of AMD's (vendor 0x1002) is in /sys/bus/pci/devices";

#[test]
fn devices_says_in_one_line_what_is_missing() {
    if has_driver() {
        return;
    }
    let listed = stdout(&["devices"]);
    assert!(listed.starts_with("cpu/cpu  "), "{listed}");
    let line = line(&listed, "rocm");
    assert_eq!(line, format!("rocm  cannot serve: backend \"rocm\": {NO_GPU}"));
}

#[test]
fn what_is_asked_for_by_name_does_not_fall_back() {
    if has_driver() {
        return;
    }
    let error = refusal(&["generate", "To be", "-n", "4", "--backend", "rocm"], 1);
    assert_eq!(error, format!("error: no backend can run this graph: rocm: {NO_GPU}\n"));
}

#[test]
fn a_precision_that_is_unknown_is_refused() {
    let mut command = edgeformer(&["devices"]);
    let output = command.env("EDGEFORMER_ROCM_PRECISION", "fp8").output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    insta::assert_snapshot!(error, @"error: configuration: EDGEFORMER_ROCM_PRECISION=fp8 is unknown, known are model, fp16, int8");
}
