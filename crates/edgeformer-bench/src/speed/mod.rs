//! The standard benchmark: tokens a second, memory and time to load, beside a peer and the
//! machine's limits, all of one run.
//!
//! - `case`: what is timed
//! - `job`: one run of one case by one engine, in a process of its own
//! - `work`: what a token costs, and which limit of the machine bounds it
//! - `bench`, `figures`: all runs, interleaved, and what rows say of them
//! - `row`, `report`: what a line of the result says, and all of them
//! - `table`, `sql`, `chart`: rows as Markdown, as SQL and CSV, as a picture

mod bench;
mod case;
mod chart;
mod figures;
mod job;
mod report;
mod row;
mod sql;
mod table;
mod work;

pub use bench::{Built, NamedModel, SpeedBench};
pub use case::Case;
pub use chart::{Quantity, over_length, picture};
pub use job::{CaseJob, CaseRun};
pub use report::SpeedReport;
pub use row::{Failure, Limit, Row};
pub use work::Workload;
