//! What `edgeformer-train` needs a running model for.
//!
//! - `judge`: how hard records are for a model, what it answers
//! - `embedder`: what records are about

mod embedder;
mod judge;

pub use embedder::ModelEmbedder;
pub use judge::{Answering, ModelJudge};

use crate::Error;

impl From<edgeformer_train::Error> for Error {
    fn from(error: edgeformer_train::Error) -> Self {
        Self::Request(error.to_string())
    }
}

/// What a model said, for who asked it.
fn judge_error(doing: &'static str) -> impl Fn(Error) -> edgeformer_train::Error {
    move |error| edgeformer_train::Error::Judge { doing, problem: error.to_string() }
}
