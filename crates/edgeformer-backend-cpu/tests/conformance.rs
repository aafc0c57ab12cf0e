//! The conformance suite, by every kernel table that this machine has.

use edgeformer_backend_cpu::{CpuBackend, CpuOptions};
use edgeformer_conformance::Suite;

fn conforms(isa: &str) {
    let options = CpuOptions { isa: Some(isa.into()) };
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

#[test]
fn the_scalar_table_conforms() {
    conforms("scalar");
}

#[test]
fn the_avx2_table_conforms() {
    conforms("avx2");
}

#[test]
fn the_neon_table_conforms() {
    conforms("neon");
}

#[test]
fn the_dotprod_table_conforms() {
    conforms("dotprod");
}

#[test]
fn the_i8mm_table_conforms() {
    conforms("i8mm");
}
