//! The CPU backend as a plugin does what it does as a crate: the whole suite, through the interface.
#![cfg(feature = "host")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use edgeformer_conformance::Suite;

#[test]
fn the_cpu_backend_conforms_as_a_plugin() {
    let plugin = support::plugin("cpu_plugin");
    let report = Suite::standard().run(&plugin, "cpu", &[]);
    println!("{report}");
    report.assert_ok();
}
