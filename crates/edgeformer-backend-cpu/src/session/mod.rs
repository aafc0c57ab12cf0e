//! Sessions: a step over a program, with a cache and scratch memory of its own.
//!
//! - `rows`: what a step asks for, validated before anything changes
//! - `memory`: where values are while a step runs; `scratch`: everything else it needs
//! - `run`: the actions in order
//! - `embed`, `elementwise`, `norm`, `columns`, `linear`, `rope`, `pooling`, `experts`: one family of ops each
//! - `sight`: how far queries see; `tiles`: rows cut into tiles
//! - `attend`: scores, softmax, weighted sum
//! - `attention`: what all kinds have in common; `splits`: contexts that threads share; `grouped`, `latent`, `both_sides`: the kinds
//! - `observe`: inputs of products, shown to who asked; `watch`: sessions that look at where attention goes; `cache`: pages and what they learn

mod attend;
mod attention;
mod both_sides;
mod cache;
mod columns;
mod elementwise;
mod embed;
mod experts;
mod grouped;
mod latent;
mod linear;
mod memory;
mod norm;
mod observe;
mod pooling;
mod rope;
mod rows;
mod run;
mod scratch;
mod sight;
mod splits;
#[cfg(test)]
mod tests;
mod tiles;
mod watch;

use std::sync::Arc;

use edgeformer_core::graph::SlotPlan;
use edgeformer_core::{
    AttentionMass, Error, Graph, Input, InputObserver, KvCache, LatentForm, Outputs, Result,
    Session, SessionOptions, Step,
};

use crate::cache::PagedCache;
use crate::program::{CpuProgram, ScratchPlan, shows_parts};
use cache::SessionCache;
use memory::Memory;
use rows::StepRows;
use run::Executor;
use scratch::Scratch;
use sight::Sight;
use watch::Watch;

/// A stream of work over a program.
pub(crate) struct CpuSession {
    program: Arc<CpuProgram>,
    options: SessionOptions,
    plan: ScratchPlan,
    cache: SessionCache,
    sight: Sight,
    rows: StepRows,
    buffers: Vec<Vec<f32>>,
    scratch: Scratch,
    observer: Option<InputObserver>,
    /// A step has begun and not ended: it panicked, and its memory may be gone.
    interrupted: bool,
}

impl CpuSession {
    pub fn new(program: Arc<CpuProgram>, options: &SessionOptions) -> Result<Self> {
        let plan = program.scratch(options)?;
        let graph = &program.model.graph;
        let sight = Sight::new(&program, options)?;
        check_latent_form(graph, options)?;
        let kernels = program.kernels;
        let pages = PagedCache::new(&graph.cache, options, program.fingerprint, kernels)?;
        let pages = pages.for_adapters(graph.adapters());
        let watch = Watch::new(graph, options, pages.page_tokens())?;
        let cache = SessionCache { pages, watch };
        Ok(Self {
            buffers: scratch::buffers(&plan)?,
            scratch: Scratch::new(&program, &plan, options.context)?,
            rows: StepRows::new(&plan.capacity),
            options: options.clone(),
            program,
            plan,
            cache,
            sight,
            observer: None,
            interrupted: false,
        })
    }

    /// Bytes that are really allocated, the caller's output rows included at their most.
    #[cfg(test)]
    pub fn scratch_bytes(&self) -> u64 {
        let buffers: usize = self.buffers.iter().map(|buffer| size_of_val(&buffer[..])).sum();
        let outputs = self.plan.outputs * size_of::<f32>();
        (buffers + outputs) as u64 + self.scratch.bytes()
    }

    fn recover(&mut self) -> Result<()> {
        if self.interrupted {
            self.cache.pages.rollback();
            self.buffers = scratch::buffers(&self.plan)?;
            self.scratch = Scratch::new(&self.program, &self.plan, self.options.context)?;
            self.interrupted = false;
        }
        Ok(())
    }
}

impl Session for CpuSession {
    fn run(&mut self, step: &Step<'_>, outputs: &mut Outputs) -> Result<()> {
        self.recover()?;
        let program = self.program.clone();
        self.rows.read(&program, step, &self.plan.capacity, &self.options, &self.cache.pages)?;
        self.cache.pages.reserve(self.rows.reservations())?;
        for span in step.spans {
            if let Input::Tokens(tokens) = span.input {
                self.cache.pages.note_tokens(span.sequence, tokens);
            }
        }
        self.cache.watch.begin(self.rows.spans());
        outputs.reset(program.model.graph.output_width(), self.rows.wanted_counts());

        self.interrupted = true;
        let memory = Memory::new(
            &program,
            &self.plan.buffers,
            &self.rows,
            &mut self.buffers,
            outputs.data_mut(),
        );
        let done = Executor {
            program: &program,
            kernels: program.kernels,
            pool: program.crews.for_rows(self.rows.work()),
            step,
            rows: &self.rows,
            memory,
            cache: &mut self.cache,
            sight: &self.sight,
            latent_form: latent_form(&self.options),
            scratch: &mut self.scratch,
            observer: self.observer.as_mut(),
        }
        .run();
        self.interrupted = false;
        if let Err(error) = done {
            self.cache.pages.rollback();
            return Err(error);
        }
        self.cache.pages.commit();
        self.cache.watch.step_done(self.rows.spans(), &mut self.cache.pages);
        Ok(())
    }

    fn cache(&mut self) -> &mut dyn KvCache {
        &mut self.cache
    }

    fn trim(&mut self) -> u64 {
        self.cache.pages.trim()
    }

    fn attention_mass(&self) -> Option<&AttentionMass> {
        match &self.cache.watch {
            Watch::Mass { mass, .. } => Some(mass),
            _ => None,
        }
    }

    fn observe_inputs(&mut self, observer: Option<InputObserver>) -> Result<()> {
        self.observer = observer;
        Ok(())
    }
}

/// The expanded form shows a query all that the model does.
fn check_latent_form(graph: &Graph, options: &SessionOptions) -> Result<()> {
    let latents = graph.cache.slots.iter().any(|slot| matches!(slot, SlotPlan::Latent { .. }));
    if options.latent_form == LatentForm::Expanded && shows_parts(options) && latents {
        return Err(Error::Config(
            "mla expanded: sinks, attend_pages, evict, adaptive windows and window tuning need the absorbed form; use --mla auto or absorbed".into(),
        ));
    }
    Ok(())
}

/// The form that a session's options leave: what shows queries parts of the past, or looks at
/// their attention, is absorbed.
fn latent_form(options: &SessionOptions) -> LatentForm {
    match options.latent_form {
        LatentForm::Auto if shows_parts(options) => LatentForm::Absorbed,
        form => form,
    }
}
