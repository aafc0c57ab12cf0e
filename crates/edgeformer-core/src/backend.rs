use std::fmt;
use std::io::Write;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    AttentionMass, CacheFormat, Device, Error, Graph, InputObserver, KvCache, LatentForm, Model,
    Outputs, PackedFile, PackedSummary, PackedUse, Result, Step, Tiers, Visibility,
};

/// Runs graphs on the devices of one kind.
pub trait Backend: Send + Sync {
    /// The name that `--backend` takes.
    fn name(&self) -> &str;

    /// The devices it has found.
    fn devices(&self) -> Result<Vec<Device>>;

    /// Whether this backend can run the graph on that device and, if not, every reason.
    fn check(&self, graph: &Graph, device: &Device) -> Result<(), Unsupported>;

    /// What a session would take, from shapes and formats alone: no weight is read.
    fn plan(
        &self,
        model: &Model,
        compile: &CompileOptions,
        session: &SessionOptions,
    ) -> Result<Footprint>;

    /// What was chosen for such a session and why, a line each: for people.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    fn explain(&self, model: &Model, session: &SessionOptions) -> Result<Vec<String>> {
        let _nothing_to_choose = (model, session);
        Ok(Vec::new())
    }

    /// Packs the weights and plans the steps.
    fn compile(&self, model: Arc<Model>, options: &CompileOptions) -> Result<Arc<dyn Program>>;

    /// Writes the weights as [`compile`](Self::compile) packs them, for
    /// [`CompileOptions::packed`]. `progress` is told how many bytes of how many are written; its
    /// error ends the writing.
    ///
    /// # Errors
    /// If the backend or the options pack nothing of this model, or writing fails.
    fn write_packed(
        &self,
        model: &Model,
        options: &CompileOptions,
        to: &mut dyn Write,
        progress: &dyn Fn(u64, u64) -> std::io::Result<()>,
    ) -> Result<PackedSummary> {
        let _packs_nothing = (model, options, to, progress);
        let problem = "it packs no weights ahead: there is nothing to write".into();
        Err(Error::Backend { backend: self.name().into(), problem })
    }

    /// What [`compile`](Self::compile) would make of [`CompileOptions::packed`]; with `all`, every
    /// byte of the file and of the model that it was made from is looked at.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    fn check_packed(
        &self,
        model: &Model,
        options: &CompileOptions,
        all: bool,
    ) -> Result<PackedUse> {
        let _packs_nothing = (model, options, all);
        Ok(PackedUse::Absent)
    }
}

/// A compiled model: immutable, shared between sessions and threads.
pub trait Program: Send + Sync {
    /// The graph it runs.
    fn graph(&self) -> &Graph;

    /// Bytes that a session with these options takes: weights, cache, scratch.
    fn footprint(&self, options: &SessionOptions) -> Footprint;

    /// The same program with the threads of other options; what was compiled is shared. To find
    /// out how many are best without compiling again.
    ///
    /// # Errors
    /// If the backend has no threads of its own, or not so many.
    fn with_threads(&self, options: &CompileOptions) -> Result<Arc<dyn Program>> {
        let _nothing_to_choose = options;
        Err(Error::Config("this backend has no threads to choose".into()))
    }

    /// What became of [`CompileOptions::packed`].
    fn packed(&self) -> &PackedUse {
        &PackedUse::Absent
    }

    /// Opens a session.
    fn open(self: Arc<Self>, options: &SessionOptions) -> Result<Box<dyn Session>>;
}

/// A stream of work over a program: owns the cache and the scratch memory.
pub trait Session: Send {
    /// One forward pass over a ragged batch. A failed step leaves every sequence as it was.
    ///
    /// # Errors
    /// If an input does not fit the graph, a token id is outside the vocabulary, a sequence is
    /// unknown, named twice or would outgrow the context, or the step is longer than the
    /// session's chunk.
    fn run(&mut self, step: &Step<'_>, outputs: &mut Outputs) -> Result<()>;

    /// The sequences.
    fn cache(&mut self) -> &mut dyn KvCache;

    /// Gives memory that holds nothing of a sequence back to the system: free and retained cache
    /// pages. Returns how many bytes that were. The next steps may allocate again.
    fn trim(&mut self) -> u64 {
        0
    }

    /// Where attention went since the session was opened, if it was opened with
    /// [`SessionOptions::observe_attention`].
    fn attention_mass(&self) -> Option<&AttentionMass> {
        None
    }

    /// Shows an observer what every following step multiplies with weights, before it does; `None`
    /// ends that. Rows behind the last attention are shown where they are computed: where outputs
    /// are wanted.
    ///
    /// # Errors
    /// If the backend cannot show them.
    fn observe_inputs(&mut self, observer: Option<InputObserver>) -> Result<()> {
        match observer {
            None => Ok(()),
            Some(_) => {
                let problem = "this backend does not show the inputs of products: calibrate with another --backend";
                Err(Error::Config(problem.into()))
            }
        }
    }
}

/// How a program is compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileOptions {
    /// Which of the backend's devices, by [`Device::id`].
    pub device: String,
    /// Threads that work on a step; `None` lets the backend choose.
    pub threads: Option<usize>,
    /// Threads that work on a step of many rows, as prompts are; `None` is as many as on others.
    pub threads_batch: Option<usize>,
    /// Whether weights are rearranged for speed, where the backend has a faster layout than the
    /// file's. Otherwise they are used in place.
    pub repack: bool,
    /// Weights that were rearranged before: used instead, where they are those of this model and
    /// this backend. Nothing without [`repack`](Self::repack).
    #[serde(skip)]
    pub packed: Option<PackedFile>,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self {
            device: "cpu".into(),
            threads: None,
            threads_batch: None,
            repack: true,
            packed: None,
        }
    }
}

impl CompileOptions {
    /// Refuses to pack where nothing is packed.
    ///
    /// # Errors
    /// If [`repack`](Self::repack) is off.
    pub fn check_repack(&self) -> Result<()> {
        if self.repack {
            return Ok(());
        }
        let problem = "no_repack uses weights as the file holds them: nothing is packed";
        Err(Error::Config(problem.into()))
    }
}

/// How a session is opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionOptions {
    /// Tokens that one sequence may hold.
    pub context: usize,
    /// Sequences that may hold `context` tokens at the same time: the cache has room for
    /// `context * sequences` tokens.
    pub sequences: usize,
    /// Rows that one step may have, over all its spans.
    pub chunk: usize,
    /// Output rows that one step may ask for.
    pub output_rows: usize,
    /// Format of cached keys and latents.
    pub cache_type_k: CacheFormat,
    /// Format of cached values.
    pub cache_type_v: CacheFormat,
    /// Tokens that a cache page holds.
    pub page_tokens: usize,
    /// What a query sees of the past, where that is less than the model allows.
    pub visibility: Visibility,
    /// Where pages go when they do not fit into memory.
    pub tiers: Tiers,
    /// How multi-head latent attention is computed.
    pub latent_form: LatentForm,
    /// Whether the session records where attention goes ([`Session::attention_mass`]): slow.
    pub observe_attention: bool,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            context: 4096,
            sequences: 1,
            chunk: 512,
            output_rows: 512,
            cache_type_k: CacheFormat::F16,
            cache_type_v: CacheFormat::F16,
            page_tokens: 64,
            visibility: Visibility::default(),
            tiers: Tiers::default(),
            latent_form: LatentForm::Auto,
            observe_attention: false,
        }
    }
}

/// Bytes that a session takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Footprint {
    /// Weights, as mapped and as packed.
    pub weights: u64,
    /// KV cache with every sequence at full length.
    pub cache: u64,
    /// KV cache that one more token takes.
    pub cache_per_token: u64,
    /// Everything else: activations, output rows, buffers of the threads.
    pub scratch: u64,
}

impl Footprint {
    /// Weights, cache and scratch together.
    pub fn total(&self) -> u64 {
        self.weights + self.cache + self.scratch
    }
}

/// Every reason why a backend cannot run a graph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unsupported {
    /// One sentence each.
    pub reasons: Vec<String>,
}

impl Unsupported {
    /// Turns into an error that names the backend.
    pub fn into_error(self, backend: &str) -> Error {
        Error::Unsupported { backend: backend.into(), reasons: self.to_string() }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reasons.join("; "))
    }
}
