//! Whole models: the table of readers against the graph, and that changed models compute what
//! they did.

mod exact;
mod outliers;
mod readers;
mod refusals;
mod small;

pub(super) use small::round4;
