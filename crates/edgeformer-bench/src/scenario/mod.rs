//! Scenarios in the style of MLPerf inference: how long an answer takes at worst, and how many
//! can be given at all.
//!
//! | scenario | a query is | the next one comes | what counts |
//! |---|---|---|---|
//! | `single-stream` | 1 sample | when the one before is done | 90th percentile of latency |
//! | `multi-stream` | 8 samples | when the one before is done | 99th percentile of latency |
//! | `offline` | all samples | there is one | samples a second |
//!
//! Sources: Reddi et al., "MLPerf Inference Benchmark" (arXiv 1911.02549, section III-C); the
//! rules (`mlcommons/inference_policies`, `inference_rules.adoc`, chapter "Scenarios" and the
//! appendix on early stopping); LoadGen (`mlcommons/inference`, `loadgen/results.cc` and
//! `loadgen/early_stopping.cc`). A sample here is a prompt of random tokens and a greedy answer of
//! fixed length. The rules of the style are kept; what makes a result one of MLPerf's (its models,
//! its data, its accuracy runs, its review) is not here, and nothing of this is an MLPerf result.
//!
//! - `rules`: what a scenario demands
//! - `early_stopping`: what a percentile is worth after so many queries
//! - `load`: sends queries until the rules are kept
//! - `engine`: answers them
//! - `report`: what came of it

mod early_stopping;
mod engine;
mod load;
mod report;
mod rules;

pub use early_stopping::{CONFIDENCE, Estimate, discardable, estimate, least_queries};
pub use engine::{EngineUnderTest, SampleShape};
pub use load::{Answer, Log, Query, SystemUnderTest, drive};
pub use report::{Latency, ScenarioBench, ScenarioReport};
pub use rules::{Rules, Scenario};
