//! The conformance suite, by the kernel tables of this machine.

use edgeformer_backend_cpu::{CpuBackend, CpuOptions};
use edgeformer_conformance::Suite;

fn conforms(isa: Option<&str>) {
    let options = CpuOptions { isa: isa.map(Into::into) };
    let backend = match CpuBackend::new(&options) {
        Ok(backend) => backend,
        Err(reason) => {
            eprintln!("skipped: {reason}");
            return;
        }
    };
    let report = Suite::standard().run(&backend, "cpu", &[]);
    println!("{report}");
    report.assert_ok();
}

#[cfg(not(target_arch = "aarch64"))]
#[test]
fn the_scalar_table_conforms() {
    conforms(Some("scalar"));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_avx2_table_conforms() {
    conforms(Some("avx2"));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_avxvnni_table_conforms() {
    conforms(Some("avxvnni"));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_avx512_table_conforms() {
    conforms(Some("avx512"));
}

/// One table stands for all: they give the same bits, as tests of their kernels show. Plain Rust is
/// tested where no emulator stands between.
#[cfg(target_arch = "aarch64")]
#[test]
fn the_best_table_for_arm_conforms() {
    conforms(None);
}
