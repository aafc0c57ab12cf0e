//! Training of EdgeFormer's graphs: the graph that serves is the graph that is differentiated.
//!
//! | module | |
//! |---|---|
//! | `parameters` | which weights learn |
//! | `objective` | what is made small |
//! | `optimizer` | how weights follow their gradients |
//! | `run` | whole runs: batches, evaluation, checkpoints |
//! | `result` | what was learned, as files |
//! | `trainer` | one step: forward, backward, update |
#![forbid(unsafe_code)]

mod error;
mod gradients;
mod objective;
mod optimizer;
mod parameters;
mod random;
mod result;
mod run;
mod trainer;

pub use error::{Error, Result};
pub use objective::{Objective, Target};
pub use optimizer::{AdamWOptions, Decay, Schedule};
pub use parameters::{Learning, Parameter, make_parameters};
pub use result::with_learned;
pub use run::{Event, Order, Outcome, RunOptions, Saved, Stopped, Store, fit, parts};
pub use trainer::{Example, Sample, StepOptions, StepReport, Teacher, Trainer};
