use std::path::PathBuf;

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
    /// The cache of such a context does not fit into the memory that is available.
    #[error("a context of {context} tokens takes {needed} bytes beside the weights, {} more than the {available} available: lower --ctx-size to at most {longest}", needed - available)]
    ContextTooLarge {
        /// Tokens of context that were asked for.
        context: usize,
        /// Bytes of cache, scratch, tokenizer and program.
        needed: u64,
        /// Bytes that the system could give.
        available: u64,
        /// The longest context that would fit.
        longest: u64,
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
