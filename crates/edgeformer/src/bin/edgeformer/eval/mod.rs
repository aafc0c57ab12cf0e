//! `edgeformer eval`: perplexity, divergence, accuracy.

mod accuracy;
mod embeddings;
mod kl;
mod perplexity;
pub mod subject;
mod watch;

use crate::args::{Eval, Measure};
use crate::failure::Outcome;

pub fn run(command: &Eval) -> Outcome {
    match &command.measure {
        Measure::Perplexity(command) => perplexity::run(command),
        Measure::Kl(command) => kl::run(command),
        Measure::Accuracy(command) => accuracy::run(command),
        Measure::Embeddings(command) => embeddings::run(command),
    }
}

/// A share in percent with its interval.
fn percent(share: f64, ci95: edgeformer::evaluate::Interval) -> String {
    let [share, low, high] = [share, ci95.low, ci95.high].map(|share| share * 100.0);
    format!("{share:.2} % ({low:.2} to {high:.2})")
}
