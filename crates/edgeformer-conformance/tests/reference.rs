//! The suite holds for the evaluator itself: graphs and expected values agree with each other.

use edgeformer_conformance::reference::ReferenceBackend;
use edgeformer_conformance::{Case, Group, Known, Suite};

/// What depends on attention itself has no plain definition.
const KNOWN: &[Known] = &[
    Known { cases: "visibility/few-pages", why: "it attends every page" },
    Known { cases: "visibility/evicted", why: "it drops nothing" },
];

fn run(keep: impl Fn(&Case) -> bool, known: &[Known]) {
    let report = Suite::standard().filtered(keep).run(&ReferenceBackend, "cpu", known);
    println!("{report}");
    report.assert_ok();
}

#[test]
fn the_evaluator_does_as_it_says() {
    // Formats change the weights alone, and their graph is the largest.
    run(|case| case.group == Group::Ops && !case.name.starts_with("ops/linear-"), &[]);
}

#[test]
fn the_evaluator_keeps_what_caches_promise() {
    run(|case| case.group == Group::Cache && !case.name.contains("import-refused"), KNOWN);
}

#[test]
fn the_evaluator_agrees_with_other_runtimes() {
    run(|case| case.name.starts_with("hf/"), &[]);
}
