use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use edgeformer_core::{
    Backend, CompileOptions, Input, Model, Outputs, Program, SequenceId, Session, SessionOptions,
    Span, Step, Want,
};
use edgeformer_models::ModelFile;

use super::Setup;
use crate::engine::Chosen;
use crate::{EngineOptions, Error, Result};

/// Times how a model runs under different setups. It is compiled once, and once more where weights
/// in place are in question.
pub struct Meter {
    model: Arc<Model>,
    backend: Arc<dyn Backend>,
    program: Arc<dyn Program>,
    in_place: OnceLock<Arc<dyn Program>>,
    compile: CompileOptions,
    base: SessionOptions,
    usual: Setup,
    vocabulary: usize,
}

impl Meter {
    /// Compiles a model. `tokens` is how long the sequences are that will be timed, at most.
    ///
    /// # Errors
    /// If it writes no text, or no backend can run it.
    pub fn open(file: &ModelFile, options: &EngineOptions, tokens: usize) -> Result<Self> {
        let graph = &file.model.graph;
        if !graph.is_decoder() {
            let family = &graph.name;
            return Err(Error::Request(format!(
                "a {family} model writes no text: there is nothing to tune"
            )));
        }
        let chosen = Chosen::of(graph, options)?;
        let context = graph.trained_context().map_or(tokens, |trained| trained.min(tokens));
        let options = EngineOptions {
            context: Some(context),
            sequences: 1,
            output_rows: Some(1),
            ..options.clone()
        };
        let base = options.session(graph)?;
        let program = chosen.backend().compile(file.model.clone(), &chosen.compile)?;
        let cores = usual_threads(&chosen);
        let threads = chosen.compile.threads.unwrap_or(cores);
        let usual = Setup {
            threads,
            threads_batch: chosen.compile.threads_batch.unwrap_or(threads),
            repack: chosen.compile.repack,
            chunk: base.chunk,
            cache_type: base.cache_type_k,
            latent_form: base.latent_form,
        };
        let vocabulary = graph.vocabulary();
        Ok(Self {
            model: file.model.clone(),
            backend: chosen.backend().clone(),
            program,
            in_place: OnceLock::new(),
            compile: chosen.compile,
            base,
            usual,
            vocabulary,
        })
    }

    /// The setup without a profile.
    pub fn usual(&self) -> Setup {
        self.usual
    }

    /// Tokens that a sequence may hold.
    pub fn context(&self) -> usize {
        self.base.context
    }

    /// Whether the model has latent attention.
    pub fn has_latents(&self) -> bool {
        self.program.graph().has_latents()
    }

    /// The model with its weights packed or in place; the latter is compiled when it is first
    /// asked for, which takes no time worth counting.
    fn program(&self, repack: bool) -> Result<&Arc<dyn Program>> {
        if repack == self.compile.repack {
            return Ok(&self.program);
        }
        if let Some(program) = self.in_place.get() {
            return Ok(program);
        }
        let options = CompileOptions { repack, ..self.compile.clone() };
        let program = self.backend.compile(self.model.clone(), &options)?;
        Ok(self.in_place.get_or_init(|| program))
    }

    /// A session under a setup.
    ///
    /// # Errors
    /// If the backend refuses the setup.
    pub fn bench(&self, setup: &Setup) -> Result<Bench> {
        let program = self.program(setup.repack)?.with_threads(&CompileOptions {
            threads: Some(setup.threads),
            threads_batch: Some(setup.threads_batch),
            ..self.compile.clone()
        })?;
        let mut session = program.open(&SessionOptions {
            chunk: setup.chunk.min(self.base.context),
            cache_type_k: setup.cache_type,
            cache_type_v: setup.cache_type,
            latent_form: setup.latent_form,
            ..self.base.clone()
        })?;
        let sequence = session.cache().create()?;
        // Any tokens will do: what is computed takes the same time.
        let tokens = (0..self.base.context).map(|index| (index * 31 % self.vocabulary) as u32);
        Ok(Bench {
            session,
            sequence,
            tokens: tokens.collect(),
            chunk: setup.chunk.min(self.base.context),
            outputs: Outputs::default(),
        })
    }
}

/// Threads that the backend takes without being told: what its device lists as cores.
fn usual_threads(chosen: &Chosen) -> usize {
    let facts = &chosen.choice.device.facts;
    let cores = facts.iter().find(|(name, _)| name == "cores");
    let listed = cores.and_then(|(_, count)| count.parse().ok());
    listed.unwrap_or_else(crate::available_cores)
}

/// A session that is timed.
pub struct Bench {
    session: Box<dyn Session>,
    sequence: SequenceId,
    tokens: Vec<u32>,
    chunk: usize,
    outputs: Outputs,
}

impl Bench {
    /// The time to read a prompt of so many tokens, no more than the context holds.
    ///
    /// # Errors
    /// If a step fails.
    pub fn prefill(&mut self, count: usize) -> Result<Duration> {
        let count = count.min(self.tokens.len());
        self.session.cache().truncate(self.sequence, 0)?;
        let start = Instant::now();
        let mut from = 0;
        while from < count {
            let to = count.min(from + self.chunk);
            let want = if to == count { Want::Last } else { Want::Nothing };
            self.step(from, to, want)?;
            from = to;
        }
        Ok(start.elapsed())
    }

    /// The time of `count` single tokens behind so many as `depth`.
    ///
    /// # Errors
    /// If a step fails, or the context does not hold them.
    pub fn decode(&mut self, depth: usize, count: usize) -> Result<Duration> {
        let held = self.session.cache().len(self.sequence);
        match held < depth {
            true => drop(self.prefill(depth)?),
            false => self.session.cache().truncate(self.sequence, depth)?,
        }
        let start = Instant::now();
        (depth..depth + count).try_for_each(|at| self.step(at, at + 1, Want::Last))?;
        Ok(start.elapsed())
    }

    fn step(&mut self, from: usize, to: usize, want: Want) -> Result<()> {
        let tokens = self.tokens.get(from..to).ok_or_else(|| {
            Error::Request(format!("the context holds {} tokens, not {to}", self.tokens.len()))
        })?;
        let span = Span { sequence: self.sequence, input: Input::Tokens(tokens), want };
        Ok(self.session.run(&Step { spans: &[span] }, &mut self.outputs)?)
    }
}
