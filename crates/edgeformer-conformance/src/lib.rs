//! The conformance suite that every EdgeFormer backend runs.
//!
//! A suite is a value: a list of cases, each a name and a function over a backend. A backend's own
//! test file runs [`Suite::standard`] and lists what the backend does not support, and why:
//!
//! ```no_run
//! # fn conforms(backend: &dyn edgeformer_core::Backend) {
//! use edgeformer_conformance::{Known, Suite};
//!
//! const KNOWN: &[Known] = &[Known { cases: "ops/experts-*", why: "no sparse kernels yet" }];
//! let report = Suite::standard().run(backend, "cpu", KNOWN);
//! println!("{report}");
//! report.assert_ok();
//! # }
//! ```
//!
//! A listed case that passes is a problem too: the list must say what is true. Cases whose files
//! are absent are skipped, and the report says so.
//!
//! | module | |
//! |---|---|
//! | [`suite`](Suite) | cases, groups, known exceptions, reports |
//! | [`known`] | the exceptions of this repository's backends |
//! | [`reference`](mod@reference) | what a graph means: a plain evaluator in f64, the specification of every op |
//! | `cases/ops` | one small graph an op, deterministic weights, compared with the reference |
//! | `cases/cache` | what the cache promises, through the trait alone |
//! | `cases/bits` | the same bits over threads, chunks and companions (a promise of the CPU) |
//! | `cases/fixtures` | models of every family and format, compared with other runtimes |
#![forbid(unsafe_code)]

mod bench;
mod cases;
mod compare;
mod feed;
mod random;
mod shared;
mod suite;

pub mod known;
pub mod reference;

pub use bench::{Bench, Stop};
pub use compare::relative_l2;
pub use random::random_model;
pub use shared::shared;
pub use suite::{Case, Entry, Group, Known, Report, Suite, Verdict};
