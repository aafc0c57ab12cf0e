use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use edgeformer_core::graph::{RowKind, SlotPlan};
use edgeformer_core::{
    CacheFormat, CompileOptions, Error, Footprint, Graph, LatentForm, Model, Op, Program, Result,
    Session, SessionOptions, Window,
};
use edgeformer_sequences::{Limits, OwnWindows};

use crate::error::Problem;
use crate::onnx::OnnxGraph;
use crate::runtime::{Build, Choice, Library};
use crate::session::{OnnxSession, Variant};
use crate::translate::{Counts, Options, Target, Translation, translate};

/// How keys and values are kept, whatever a session asks for: the operators' cache has the type of
/// the activations.
pub(crate) const STORED: CacheFormat = CacheFormat::F32;

/// More threads than any machine has cores.
const MAX_THREADS: usize = 1024;

/// A model in sessions of ONNX Runtime, one for each way of seeing that was asked for.
pub(crate) struct OnnxProgram {
    backend: &'static str,
    model: Arc<Model>,
    library: Library,
    choice: Choice,
    threads: Option<usize>,
    repack: bool,
    weights: u64,
    counts: OnceLock<Counts>,
    variants: Mutex<BTreeMap<Options, Arc<Variant>>>,
}

impl OnnxProgram {
    /// Checks, translates and builds the model.
    pub fn new(
        backend: &'static str,
        model: Arc<Model>,
        library: Library,
        choice: Choice,
        options: &CompileOptions,
    ) -> Result<Self> {
        let threads = threads(options)?;
        let repack = options.repack;
        model.graph.check()?;
        model.weights.check(&model.graph)?;
        let (variants, counts) = (Mutex::default(), OnceLock::new());
        let weights = 0;
        let program =
            Self { backend, model, library, choice, threads, repack, weights, counts, variants };
        let options = program.translation(&SessionOptions::default())?;
        let translated = translate(&program.model, options)?;
        let weights = weight_bytes(&translated.graph, repack);
        program.build(options, translated)?;
        Ok(Self { weights, ..program })
    }

    /// The session of the runtime for what a session of ours sees.
    fn variant(&self, session: &SessionOptions) -> Result<Arc<Variant>> {
        let options = self.translation(session)?;
        let known = self.lock().get(&options).cloned();
        match known {
            Some(variant) => Ok(variant),
            None => self.build(options, translate(&self.model, options)?),
        }
    }

    /// The translation that serves a session.
    fn translation(&self, session: &SessionOptions) -> Result<Options> {
        let graph = &self.model.graph;
        let options = translation(session, self.choice.plain_operators);
        let options = Options { expanded: options.expanded && graph.has_latents(), ..options };
        let windows = graph.cache.slots.iter().any(|slot| slot.window().is_some());
        match !options.plain && (windows || options.window.is_some()) {
            true => Ok(Options { counts: self.counts()?, ..options }),
            false => Ok(options),
        }
    }

    /// What the runtime's operator counts in a window: asked once.
    fn counts(&self) -> Result<Counts> {
        if let Some(counts) = self.counts.get() {
            return Ok(*counts);
        }
        let own = self.with_builder(|build| build.window_counts_own())?;
        Ok(*self.counts.get_or_init(|| if own { Counts::Own } else { Counts::Earlier }))
    }

    /// Gives `work` what sessions of the runtime are built with.
    fn with_builder<T>(&self, work: impl FnOnce(&Build<'_>) -> Result<T, Problem>) -> Result<T> {
        let &Self { ref library, ref choice, threads, repack, .. } = self;
        let release = |bytes: &[u8]| self.model.weights.release(bytes);
        work(&Build { library, provider: choice, threads, repack, release: &release })
            .map_err(|problem| problem.of(self.backend))
    }

    fn build(&self, options: Options, translated: Translation) -> Result<Arc<Variant>> {
        // What no session holds any more is not kept beside another one.
        self.lock().retain(|_, variant| Arc::strong_count(variant) > 1);
        let variant = Arc::new(self.with_builder(|build| Variant::new(build, translated))?);
        self.lock().insert(options, variant.clone());
        Ok(variant)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Options, Arc<Variant>>> {
        self.variants.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Program for OnnxProgram {
    fn graph(&self) -> &Graph {
        &self.model.graph
    }

    fn footprint(&self, options: &SessionOptions) -> Footprint {
        footprint(&self.model.graph, self.weights, options)
    }

    fn open(self: Arc<Self>, options: &SessionOptions) -> Result<Box<dyn Session>> {
        check_session(self.backend, &self.model.graph, options)?;
        let variant = self.variant(options)?;
        Ok(Box::new(OnnxSession::new(self.backend, self.model.clone(), variant, options)?))
    }
}

/// The translation that serves a session, on a runtime that nobody has asked.
fn translation(session: &SessionOptions, plain: bool) -> Options {
    let window = match session.visibility.window {
        Window::Tokens(window) => Some(window),
        _ => None,
    };
    let expanded = session.latent_form == LatentForm::Expanded;
    let counts = Counts::Own;
    Options { target: Target::Session, in_place: false, expanded, window, counts, plain }
}

/// Refuses what this backend does not have.
pub(crate) fn check_session(
    backend: &'static str,
    graph: &Graph,
    options: &SessionOptions,
) -> Result<()> {
    let cache_types = &[CacheFormat::F32, CacheFormat::F16];
    Limits { backend, cache_types, windows: OwnWindows::Same, budget: false }
        .check(graph, options)?;
    match options.visibility.window {
        Window::Tokens(0) => Err(Error::Config("a window of zero tokens".into())),
        _ => Ok(()),
    }
}

/// What a session would take.
pub(crate) fn plan(
    model: &Model,
    compile: &CompileOptions,
    session: &SessionOptions,
    plain: bool,
) -> Result<Footprint> {
    threads(compile)?;
    model.graph.check()?;
    model.weights.check(&model.graph)?;
    let translated = translate(model, translation(session, plain))?;
    Ok(footprint(&model.graph, weight_bytes(&translated.graph, compile.repack), session))
}

/// Threads of an operator; `None` leaves it to the runtime.
fn threads(options: &CompileOptions) -> Result<Option<usize>> {
    let all = [("threads", options.threads), ("threads_batch", options.threads_batch)];
    for (name, threads) in all {
        if threads.is_some_and(|threads| !(1..=MAX_THREADS).contains(&threads)) {
            let threads = threads.unwrap_or_default();
            return Err(Error::Config(format!(
                "{name} is {threads}, it must be 1 to {MAX_THREADS}"
            )));
        }
    }
    if options.threads_batch.is_some_and(|batch| options.threads != Some(batch)) {
        let problem = "threads_batch differs from threads: ONNX Runtime has one pool for both, leave threads_batch out";
        return Err(Error::Config(problem.into()));
    }
    Ok(options.threads)
}

/// What was chosen, for people.
pub(crate) fn explain(model: &Model, session: &SessionOptions) -> Vec<String> {
    let mut lines = Vec::new();
    if model.graph.is_causal() && session.cache_type_k != STORED {
        lines.push(
            "keys and values are kept as f32: ONNX Runtime's operators have no other on the CPU"
                .into(),
        );
    }
    if model.graph.has_latents() {
        let form = match session.latent_form {
            LatentForm::Expanded => "expanded",
            _ => "absorbed",
        };
        lines.push(format!("latent attention is computed in its {form} form, by plain operators"));
    }
    lines
}

/// Bytes of weights while a session is built: what the runtime packs is there twice then.
fn weight_bytes(graph: &OnnxGraph, repack: bool) -> u64 {
    let bytes = graph.initializers.iter().map(|initializer| initializer.byte_len() as u64);
    let times = if graph.is_packed(repack) { 2 } else { 1 };
    times * bytes.sum::<u64>()
}

fn footprint(graph: &Graph, weights: u64, options: &SessionOptions) -> Footprint {
    let elements = |slot: &SlotPlan| slot.elements().0 + slot.elements().1;
    let cache_per_token = 4 * graph.cache.slots.iter().map(elements).sum::<usize>() as u64;
    let tokens = (options.context as u64).saturating_mul(options.sequences as u64);
    Footprint {
        weights,
        cache: cache_per_token.saturating_mul(tokens),
        cache_per_token,
        scratch: scratch(graph, options),
    }
}

/// Activations at the widest place, output rows, tables of sines and cosines. What the runtime
/// takes beside that is its own choice.
fn scratch(graph: &Graph, options: &SessionOptions) -> u64 {
    let rows = graph.values.iter().map(|info| match info.rows {
        RowKind::Patch(rows) => rows,
        _ => options.chunk,
    });
    let rows = rows.max().unwrap_or(0) as u64;
    let (output, values) = (graph.output.value.index(), graph.values.iter().enumerate());
    let widest = values.filter(|(index, _)| *index != output).map(|(_, info)| info.width).max();
    let activations = 6 * 4 * rows.saturating_mul(widest.unwrap_or(0) as u64);
    let outputs = 2 * 4 * options.output_rows as u64 * graph.output_width() as u64;
    let tables = graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Rope(rope) => Some(4 * rope.dims as u64 * options.context as u64),
        _ => None,
    });
    activations.saturating_add(outputs).saturating_add(tables.max().unwrap_or(0))
}
