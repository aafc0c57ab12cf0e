//! Configurations to graphs, in both forms; every refusal; names.

pub(crate) mod configs;
pub(crate) mod folders;
mod forms;
mod graphs;
mod names;
mod refusals;
