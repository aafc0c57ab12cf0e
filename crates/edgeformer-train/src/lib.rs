//! Training of EdgeFormer's graphs: the graph that serves is the graph that is differentiated.
//!
//! | module | |
//! |---|---|
//! | `data` | what is learned from: records of text, folders of images, arrays |
//! | `curate` | choosing among records: valid, new, hard enough, well reasoned, unlike each other |
//! | `finetune` | from files to files: a model or an adapter that has learned |
//! | `tokenizer` | a vocabulary from texts |
//! | `parameters` | which weights learn |
//! | `objective` | what is made small |
//! | `optimizer` | how weights follow their gradients |
//! | `trainer` | one step: forward, backward, update |
//! | `memory` | what a run will take, before it begins |
//! | `shares` | batches, cut into what is learned from side by side |
//! | `run` | whole runs: batches, evaluation, checkpoints |
//! | `result` | what was learned, as files |
#![forbid(unsafe_code)]

pub mod curate;
pub mod data;
pub mod finetune;
pub mod tokenizer;

mod error;
mod evaluation;
mod floats;
mod gradients;
mod memory;
mod objective;
mod optimizer;
mod parameters;
mod result;
mod run;
mod shares;
mod trainer;

pub use error::{Error, Result};
pub use evaluation::Evaluation;
pub use memory::{MemoryPlan, RunShape};
pub use objective::{Objective, Target};
pub use optimizer::{AdamWOptions, Decay, Schedule};
pub use parameters::{Learning, Parameter, make_parameters};
pub use result::with_learned;
pub use run::{Event, Order, Outcome, RunOptions, Saved, Stopped, Store, fit};
pub use shares::{ENVIRONMENT, Shares};
pub use trainer::{Example, Sample, StepOptions, StepReport, Teacher, Trainer};
