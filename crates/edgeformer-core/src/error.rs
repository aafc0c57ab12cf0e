use crate::SequenceId;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a graph and its outputs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A graph that is not well formed: a width that does not fit, a value used before it exists.
    #[error("graph {graph:?}, node {node}: {problem}")]
    Graph {
        /// The graph's name.
        graph: String,
        /// The node's place and op, for example `12 linear`.
        node: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A weight that the graph names is absent or has another shape or format than it must have.
    #[error("weight {name:?}: {problem}")]
    Weight {
        /// The weight's name in the graph.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A low-rank adapter that does not fit the model.
    #[error("adapter {adapter}: weight {weight:?}: {problem}")]
    Adapter {
        /// The adapter's name.
        adapter: String,
        /// The weight that it would change.
        weight: String,
        /// What does not fit, and what to do.
        problem: String,
    },
    /// Bytes, values or shapes that do not fit a quantization format.
    #[error("format {format}: {problem}")]
    Format {
        /// The format's name.
        format: &'static str,
        /// What does not fit.
        problem: String,
    },
    /// A step that cannot run as it was asked for.
    #[error("step: {0}")]
    Step(String),
    /// A token that the model's vocabulary does not have.
    #[error("token id {token} is outside the vocabulary of {vocabulary} tokens")]
    Token {
        /// The offending id.
        token: u32,
        /// How many tokens the model knows.
        vocabulary: usize,
    },
    /// A sequence that is not, or no longer, in the cache.
    #[error("{0} is not in the cache: it was removed or never created")]
    UnknownSequence(SequenceId),
    /// A sequence would grow past the context the session was opened with.
    #[error(
        "{sequence} would hold {needed} tokens, the session was opened for {limit}: raise the context length or shorten the input"
    )]
    ContextFull {
        /// The sequence.
        sequence: SequenceId,
        /// Tokens it would hold.
        needed: usize,
        /// Tokens it may hold.
        limit: usize,
    },
    /// The cache has no free page left.
    #[error(
        "the KV cache is full: {needed} more pages are needed, {free} are free; remove sequences or open the session with a longer context"
    )]
    CacheFull {
        /// Pages the step needs.
        needed: usize,
        /// Pages that are free.
        free: usize,
    },
    /// A saved sequence that cannot be read back here.
    #[error("saved sequence: {0}")]
    SavedSequence(String),
    /// No backend can serve the request; every reason is listed.
    #[error("{0}")]
    NoBackend(String),
    /// A backend refuses the graph.
    #[error("backend {backend:?} cannot run this graph: {reasons}")]
    Unsupported {
        /// The backend's name.
        backend: String,
        /// Every reason, separated by `; `.
        reasons: String,
    },
    /// A backend failed while compiling or running.
    #[error("backend {backend:?}: {problem}")]
    Backend {
        /// The backend's name.
        backend: String,
        /// What happened.
        problem: String,
    },
    /// A setting that is unknown or has a value it cannot have.
    #[error("configuration: {0}")]
    Config(String),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
