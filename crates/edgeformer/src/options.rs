use edgeformer_core::graph::RowKind;
use edgeformer_core::{CacheFormat, Config, Graph, Selection, SessionOptions};

/// Context of a session that nobody chose one for, if the model allows as much.
const DEFAULT_CONTEXT: usize = 4096;

/// How an engine is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineOptions {
    /// Which backend runs the model.
    pub backend: Selection,
    /// Threads that compute; `None` lets the backend choose.
    pub threads: Option<usize>,
    /// Instruction set of the CPU backend; `None` is the best one found.
    pub isa: Option<String>,
    /// Tokens that a sequence may hold; `None` is what the model was trained on, at most 4,096.
    pub context: Option<usize>,
    /// Rows of one step: the chunk in which prompts are processed.
    pub chunk: usize,
    /// Output rows of one step; `None` is one a sequence. [`Engine::evaluate`](crate::Engine::evaluate)
    /// works in steps of at most so many rows.
    pub output_rows: Option<usize>,
    /// Sequences served at the same time; more wait.
    pub sequences: usize,
    /// Format of cached keys and latents.
    pub cache_type_k: CacheFormat,
    /// Format of cached values.
    pub cache_type_v: CacheFormat,
    /// Tokens of a cache page.
    pub page_tokens: usize,
    /// Whether the tokenizer is loaded; token ids alone do without.
    pub tokenizer: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self::from(&Config::default())
    }
}

impl From<&Config> for EngineOptions {
    fn from(config: &Config) -> Self {
        let Ok(backend) = config.backend.parse();
        Self {
            backend,
            threads: config.threads,
            isa: config.isa.clone(),
            context: config.ctx_size,
            chunk: config.ubatch_size,
            output_rows: None,
            sequences: config.parallel,
            cache_type_k: config.cache_type_k.unwrap_or(CacheFormat::F16),
            cache_type_v: config.cache_type_v.unwrap_or(CacheFormat::F16),
            page_tokens: config.page_size,
            tokenizer: true,
        }
    }
}

impl EngineOptions {
    /// The session that these options mean for a graph.
    pub(crate) fn session(&self, graph: &Graph) -> SessionOptions {
        let trained = graph.trained_context();
        let context = self.context.unwrap_or_else(|| trained.unwrap_or(1).min(DEFAULT_CONTEXT));
        // A bidirectional sequence cannot be cut into chunks.
        let chunk = match (graph.is_causal(), trained) {
            (true, _) => self.chunk.min(context),
            (false, Some(_)) => context,
            (false, None) => longest_input(graph),
        };
        let output_rows = self.output_rows.unwrap_or(self.sequences).min(chunk.max(self.sequences));
        SessionOptions {
            context,
            sequences: self.sequences,
            chunk: chunk.max(self.sequences),
            output_rows: if graph.is_causal() { output_rows } else { chunk },
            cache_type_k: self.cache_type_k,
            cache_type_v: self.cache_type_v,
            page_tokens: self.page_tokens,
            ..SessionOptions::default()
        }
    }
}

/// Rows that one image or signal becomes.
fn longest_input(graph: &Graph) -> usize {
    let rows = graph.values.iter().map(|info| match info.rows {
        RowKind::Patch(count) => count,
        RowKind::Token | RowKind::Sequence => 1,
    });
    rows.max().unwrap_or(1)
}
