use std::path::{Path, PathBuf};

use crate::BudgetSource;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a model file and text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model's files are damaged or not known.
    #[error(transparent)]
    Model(#[from] edgeformer_models::Error),
    /// A graph, backend, cache or setting refuses.
    #[error(transparent)]
    Core(#[from] edgeformer_core::Error),
    /// A model cannot be quantized or converted.
    #[error("{0}")]
    Quantize(String),
    /// The request does not fit the model: an encoder asked for text, an empty prompt.
    #[error("{0}")]
    Request(String),
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {prompt} tokens, the context holds {context}: {} too many; raise --ctx-size or shorten the prompt", prompt + 1 - context)]
    PromptTooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens that the context holds.
        context: usize,
    },
    /// Such a context does not fit into the memory budget.
    #[error("{}", over_budget(*context, *needed, *budget, *said_by, *longest))]
    OverBudget {
        /// Tokens of context that were asked for.
        context: usize,
        /// Bytes that count against the budget, for the smallest way to run.
        needed: u64,
        /// Bytes of the budget.
        budget: u64,
        /// Where the budget comes from.
        said_by: BudgetSource,
        /// The longest context that would fit, zero if none does.
        longest: usize,
    },
    /// A saved prompt that cannot be written, or read back here.
    #[error("{}: {problem}", path.display())]
    PromptCache {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of windows that cannot be written or read, or belongs to another model.
    #[error("{}: {problem}", path.display())]
    WindowFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A profile of `tune` that cannot be written.
    #[error("{}: {problem}", path.display())]
    Profile {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of packed weights that cannot be written or does not belong to the model.
    #[error("{}: {problem}", path.display())]
    PackedFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of an evaluation that cannot be read or written: a text, labels, questions, a state.
    #[error("{}: {problem}", path.display())]
    EvaluationFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An evaluation was stopped before its end.
    #[error("{}", interrupted(*done, *all, state.as_deref()))]
    Interrupted {
        /// Windows, questions, texts or images that were done.
        done: usize,
        /// How many there are.
        all: usize,
        /// The file to go on from.
        state: Option<PathBuf>,
    },
    /// The model computes nonsense.
    #[error("{0}")]
    Generation(String),
    /// An image that cannot be read.
    #[error("{}: {problem}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The engine's worker has ended, after a panic in a backend.
    #[error("the engine has stopped: a backend failed; open the model again")]
    Stopped,
}

fn over_budget(
    context: usize,
    needed: u64,
    budget: u64,
    said_by: BudgetSource,
    longest: usize,
) -> String {
    let (beside, raise) = match said_by {
        BudgetSource::Named => ("", ", or raise --memory-budget"),
        _ => (" beside the weights", ""),
    };
    let over = needed.saturating_sub(budget);
    let remedy = match longest {
        0 => "no context fits: free memory or take a smaller model".into(),
        longest => format!("lower --ctx-size to at most {longest}"),
    };
    format!(
        "a context of {context} tokens takes {needed} bytes{beside}, {over} more than the memory budget of {budget}: {remedy}{raise}"
    )
}

fn interrupted(done: usize, all: usize, state: Option<&Path>) -> String {
    match state {
        Some(state) => format!(
            "stopped after {done} of {all}: the same command with --resume {} goes on from there",
            state.display()
        ),
        None => format!(
            "stopped after {done} of {all}, nothing is kept: name a file with --resume to go on another time"
        ),
    }
}
