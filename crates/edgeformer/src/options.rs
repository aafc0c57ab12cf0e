use std::path::PathBuf;

use edgeformer_core::config::{AdapterSetting, WindowSetting};
use edgeformer_core::graph::RowKind;
use edgeformer_core::{
    CacheFormat, Config, Eviction, Graph, LatentForm, Selection, SessionOptions, Tiers, Visibility,
    Window,
};

use crate::tuning::Choices;
use crate::window_tuning::WindowFile;
use crate::{Guesses, PackedWeights, PluginOptions, Result, Speculation};

/// Context of a session that nobody chose one for, if the model allows as much.
const DEFAULT_CONTEXT: usize = 4096;

/// Chunk of a session that nobody chose one for, if memory allows as much; see [`usual_chunk`].
pub(crate) const DEFAULT_CHUNK: usize = 512;

/// Tokens of a chunk in which prompts are read where nobody chooses and memory allows: 512. With
/// latent attention it is 1,024, for every chunk makes keys and values of all latents before it.
pub fn usual_chunk(graph: &Graph) -> usize {
    if graph.has_latents() { 2 * DEFAULT_CHUNK } else { DEFAULT_CHUNK }
}

/// How an engine is opened. What is `None` is chosen when it opens, within the memory budget.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineOptions {
    /// Low-rank adapters of the model, added up. Their scales are those of requests that ask for no
    /// others ([`GenerateOptions::adapters`](crate::GenerateOptions::adapters)).
    pub adapters: Vec<AdapterSetting>,
    /// Which backend runs the model.
    pub backend: Selection,
    /// Where more backends come from.
    pub plugins: PluginOptions,
    /// Threads that compute; `None` lets the backend choose.
    pub threads: Option<usize>,
    /// Threads that read prompts; `None` is as many as [`threads`](Self::threads).
    pub threads_batch: Option<usize>,
    /// Instruction set of the CPU backend; `None` is the best one found.
    pub isa: Option<String>,
    /// Whether weights are rearranged for speed; otherwise they are used in place.
    pub repack: bool,
    /// The file of weights that were packed before, to be mapped instead of packing them.
    pub packed: PackedWeights,
    /// Tokens that a sequence may hold; `None` is what the model was trained on, at most 4,096.
    pub context: Option<usize>,
    /// Rows of one step: the chunk in which prompts are processed; `None` is [`usual_chunk`], down to
    /// 32 where memory is short.
    pub chunk: Option<usize>,
    /// Output rows of one step; `None` is one a sequence, and one for each token that may be
    /// guessed. [`Engine::evaluate`](crate::Engine::evaluate)
    /// works in steps of at most so many rows.
    pub output_rows: Option<usize>,
    /// Sequences served at the same time; more wait.
    pub sequences: usize,
    /// Format of cached keys and latents; `None` is f16, less where memory is short.
    pub cache_type_k: Option<CacheFormat>,
    /// Format of cached values; `None` as for keys.
    pub cache_type_v: Option<CacheFormat>,
    /// Tokens of a cache page.
    pub page_tokens: usize,
    /// What queries see of the past. Sinks without a window mean a window of all the context that
    /// they leave.
    pub visibility: Visibility,
    /// A file of [`WindowFile`] that says the windows instead, and the sinks where there are none.
    pub window_file: Option<PathBuf>,
    /// Where cache pages go when they do not fit into memory. Without a budget of their own they
    /// may take what the memory budget leaves.
    pub tiers: Tiers,
    /// How multi-head latent attention is computed.
    pub latent_form: LatentForm,
    /// Whether and how tokens are guessed and verified together.
    pub speculation: Speculation,
    /// Whether the engine records where attention goes
    /// ([`Engine::attention_mass`](crate::Engine::attention_mass)): slow.
    pub observe_attention: bool,
    /// Bytes that the process may have resident; `None` is what the system leaves.
    pub memory_budget: Option<u64>,
    /// Whether the [`Plan`](crate::Plan) lists every candidate that was looked at, and why the
    /// backend computes as it does.
    pub explain: bool,
    /// Whether the tokenizer is loaded; token ids alone do without.
    pub tokenizer: bool,
    /// The folder of profiles that [`tuning`](crate::tuning) has measured; what one says for the
    /// machine and the model is used where the options say nothing. `None` uses none.
    pub profile: Option<PathBuf>,
    /// What is used where the options say nothing, instead of the usual; a profile overwrites it.
    pub tuned: Choices,
}

impl Default for EngineOptions {
    fn default() -> Self {
        // What a program says is all it gets: profiles are for those who ask for them.
        let mut options = Self::from(&Config::default());
        options.profile = None;
        options
    }
}

impl From<&Config> for EngineOptions {
    fn from(config: &Config) -> Self {
        let Ok(backend) = config.backend.parse();
        let (window, window_file) = match &config.window {
            None => (Window::Model, None),
            Some(WindowSetting::Tokens(tokens)) => (Window::Tokens(*tokens), None),
            &Some(WindowSetting::Adaptive { least, most }) => {
                (Window::Adaptive { least, most }, None)
            }
            Some(WindowSetting::File(file)) => (Window::Model, Some(file.clone())),
        };
        let visibility = Visibility {
            window,
            sinks: config.sinks.unwrap_or(0),
            attend_pages: config.attend_pages,
            // Loading has refused one without the other.
            eviction: config.evict.zip(config.keep).map(|(policy, keep)| Eviction { policy, keep }),
        };
        Self {
            adapters: config.adapter.clone(),
            backend,
            plugins: PluginOptions::from(config),
            threads: config.threads,
            threads_batch: config.threads_batch,
            isa: config.isa.clone(),
            repack: !config.no_repack,
            packed: match (config.no_packed_file, &config.packed_file) {
                (true, _) => PackedWeights::Ignored,
                (false, Some(file)) => PackedWeights::File(file.clone()),
                (false, None) => PackedWeights::Beside,
            },
            context: config.ctx_size,
            chunk: config.ubatch_size,
            output_rows: None,
            sequences: config.parallel,
            cache_type_k: config.cache_type_k,
            cache_type_v: config.cache_type_v,
            page_tokens: config.page_size,
            visibility,
            window_file,
            tiers: Tiers {
                budget: config.cache_budget.map(|size| size.0),
                cold: config.cache_cold,
                spill: config.cache_spill.clone(),
            },
            latent_form: config.mla,
            speculation: Speculation::from(config),
            observe_attention: false,
            memory_budget: config.memory_budget.map(|size| size.0),
            explain: false,
            tokenizer: true,
            profile: config.profile.then(|| config.cache_folder()).flatten(),
            tuned: Choices::default(),
        }
    }
}

impl EngineOptions {
    /// The file of packed weights that is wanted. What lies beside a model is of the model alone.
    pub(crate) fn packed(&self) -> &PackedWeights {
        match self.packed {
            PackedWeights::Beside if !self.adapters.is_empty() => &PackedWeights::Ignored,
            _ => &self.packed,
        }
    }

    /// The session that these options mean for a graph, before memory is looked at.
    pub(crate) fn session(&self, graph: &Graph) -> Result<SessionOptions> {
        if !graph.is_causal() {
            return Ok(self.session_at(graph, &Visibility::default(), self.context(graph)));
        }
        let visibility = self.visibility(graph)?;
        self.check_speculation(&visibility)?;
        let session = self.session_at(graph, &visibility, self.context(graph));
        check_room(&session)?;
        Ok(session)
    }

    /// Whether what is guessed wrongly can be taken back without a trace.
    fn check_speculation(&self, visibility: &Visibility) -> Result<()> {
        let guesses = self.speculation.guesses != Guesses::Nothing;
        let follows = matches!(visibility.window, Window::Adaptive { .. });
        let problem = match (visibility.eviction.is_some(), follows) {
            (true, _) if guesses => "speculation and evict exclude each other",
            (_, true) if guesses => {
                "speculation and a window that follows attention exclude each other"
            }
            _ => return Ok(()),
        };
        Err(edgeformer_core::Error::Config(problem.into()).into())
    }

    /// The session with another context.
    pub(crate) fn session_at(
        &self,
        graph: &Graph,
        visibility: &Visibility,
        context: usize,
    ) -> SessionOptions {
        let chunk = self.chunk.or(self.tuned.chunk).unwrap_or_else(|| usual_chunk(graph));
        // A bidirectional sequence cannot be cut into chunks.
        let chunk = match (graph.is_causal(), graph.trained_context()) {
            (true, _) => chunk.min(context),
            (false, Some(_)) => context,
            (false, None) => longest_input(graph),
        };
        let visibility = self.within(visibility, context);
        let wanted = self.sequences.saturating_mul(self.speculation.rows());
        let output_rows = self.output_rows.unwrap_or(wanted).min(chunk.max(self.sequences));
        SessionOptions {
            context,
            sequences: self.sequences,
            chunk: chunk.max(self.sequences),
            output_rows: if graph.is_causal() { output_rows } else { chunk },
            cache_type_k: self.cache_type_k.unwrap_or(self.tuned.cache_type()),
            cache_type_v: self.cache_type_v.unwrap_or(self.tuned.cache_type()),
            page_tokens: self.page_tokens,
            latent_form: self.latent_form(&visibility),
            visibility,
            tiers: if graph.is_causal() { self.tiers.clone() } else { Tiers::default() },
            observe_attention: self.observe_attention,
        }
    }

    /// The form that is asked for, else the one that was measured to be the faster; not where
    /// queries see parts of the past only: that leaves no choice.
    fn latent_form(&self, visibility: &Visibility) -> LatentForm {
        let is_free = *visibility == Visibility::default() && !self.observe_attention;
        match self.latent_form {
            LatentForm::Auto if is_free => self.tuned.latent_form.unwrap_or(LatentForm::Auto),
            form => form,
        }
    }

    fn context(&self, graph: &Graph) -> usize {
        let trained = graph.trained_context();
        self.context.unwrap_or_else(|| trained.unwrap_or(1).min(DEFAULT_CONTEXT))
    }

    /// What queries see, the window file read.
    pub(crate) fn visibility(&self, graph: &Graph) -> Result<Visibility> {
        let Some(file) = &self.window_file else { return Ok(self.visibility.clone()) };
        let WindowFile { windows, sinks, .. } = WindowFile::read(file, graph)?;
        let sinks = if self.visibility.sinks > 0 { self.visibility.sinks } else { sinks };
        Ok(Visibility { window: Window::Heads(windows.into()), sinks, ..self.visibility.clone() })
    }

    /// Sinks without a window: the window is what they leave of the context. A session that
    /// observes keeps its sight: there sinks only are left out of the count.
    fn within(&self, visibility: &Visibility, context: usize) -> Visibility {
        let is_implied = visibility.window == Window::Model && visibility.sinks > 0;
        if !is_implied || self.observe_attention {
            return visibility.clone();
        }
        let window = Window::Tokens(context.saturating_sub(visibility.sinks).max(1));
        Visibility { window, ..visibility.clone() }
    }
}

/// Whether sinks and window are within the context, which the model knows: their positions are
/// counted inside the cache.
fn check_room(session: &SessionOptions) -> Result<()> {
    let Visibility { ref window, sinks, .. } = session.visibility;
    let context = session.context;
    let widest = match window {
        Window::Tokens(tokens) => *tokens,
        Window::Adaptive { most, .. } => *most,
        Window::Model | Window::Heads(_) => 1,
    };
    if sinks == 0 || sinks.saturating_add(widest) <= context {
        return Ok(());
    }
    let problem = match context.checked_sub(sinks).filter(|&left| left > 0) {
        Some(left) => format!(
            "sinks {sinks} and window {widest} do not fit into ctx_size {context}: the window may have {left}"
        ),
        None => format!("sinks {sinks} leave no room in ctx_size {context}: use fewer, such as 4"),
    };
    Err(edgeformer_core::Error::Config(problem).into())
}

/// Rows that one image or signal becomes.
fn longest_input(graph: &Graph) -> usize {
    let rows = graph.values.iter().map(|info| match info.rows {
        RowKind::Patch(count) => count,
        RowKind::Token | RowKind::Sequence => 1,
    });
    rows.max().unwrap_or(1)
}
