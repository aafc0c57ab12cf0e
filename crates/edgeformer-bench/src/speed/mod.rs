//! The standard benchmark: tokens a second, memory and time to load, beside a peer and the
//! machine's limits, all of one run.
//!
//! - `case`: what is timed
//! - `job`: one run of one case by one engine, in a process of its own
//! - `row`, `report`: what a line of the result says, and all of them

mod case;
mod job;
mod report;
mod row;

pub use case::Case;
pub use job::{CaseJob, CaseRun};
pub use report::SpeedReport;
pub use row::{Failure, Limit, Row};
