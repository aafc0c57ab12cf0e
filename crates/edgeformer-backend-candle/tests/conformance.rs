//! The conformance suite on candle's CPU.

use edgeformer_backend_candle::CandleBackend;
use edgeformer_conformance::{Case, Group, Suite, known};

fn run(keep: impl Fn(&Case) -> bool) {
    let suite = Suite::standard().filtered(keep);
    let known: Vec<_> = known::CANDLE
        .iter()
        .filter(|known| suite.cases().iter().any(|case| known.covers(&case.name)))
        .copied()
        .collect();
    let report = suite.run(&CandleBackend, "cpu", &known);
    println!("{report}");
    report.assert_ok();
}

/// One test a group of cases, so that they run beside each other and a failure says where.
macro_rules! groups {
    ($($name:ident: $prefix:literal,)*) => {
        $(
            #[test]
            fn $name() {
                run(|case| case.name.starts_with($prefix));
            }
        )*

        #[test]
        fn every_case_is_in_a_group_and_every_exception_is_a_case() {
            let suite = Suite::standard();
            // No promise of candle's: whether they pass is the processor's kernels' affair.
            let rest = suite.cases().iter().filter(|case| case.group != Group::SameBits);
            for case in rest {
                let has_group = [$($prefix),*].iter().any(|prefix| case.name.starts_with(prefix));
                assert!(has_group, "{} is in no group", case.name);
            }
            for known in known::CANDLE {
                let names_one = suite.cases().iter().any(|case| known.covers(&case.name));
                assert!(names_one, "{} names no case", known.cases);
            }
        }
    };
}

groups! {
    ops: "ops/",
    adapters: "adapters/",
    cache: "cache/",
    visibility: "visibility/",
    steps: "steps/",
    families: "hf",
    formats: "gguf-blocks/",
    models: "models/",
}
