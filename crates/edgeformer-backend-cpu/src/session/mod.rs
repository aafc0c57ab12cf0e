//! Sessions: a step over a program, with a cache and scratch memory of its own.
//!
//! - `rows`: what a step asks for, validated before anything changes
//! - `memory`: where values are while a step runs; `scratch`: everything else it needs
//! - `run`: the actions in order
//! - `embed`, `elementwise`, `columns`, `linear`, `rope`, `pooling`, `experts`: one family of ops each
//! - `attend`: scores, softmax, weighted sum; `grouped` and `latent` feed it

mod attend;
mod columns;
mod elementwise;
mod embed;
mod experts;
mod grouped;
mod latent;
mod linear;
mod memory;
mod pooling;
mod rope;
mod rows;
mod run;
mod scratch;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use edgeformer_core::{Error, KvCache, Outputs, Result, Session, SessionOptions, Step};

use crate::cache::PagedCache;
use crate::program::{CpuProgram, ScratchPlan};
use memory::Memory;
use rows::StepRows;
use run::Executor;
use scratch::Scratch;

/// A stream of work over a program.
pub(crate) struct CpuSession {
    program: Arc<CpuProgram>,
    options: SessionOptions,
    plan: ScratchPlan,
    cache: PagedCache,
    rows: StepRows,
    buffers: Vec<Vec<f32>>,
    scratch: Scratch,
    /// A step has begun and not ended: it panicked, and its memory may be gone.
    interrupted: bool,
}

impl CpuSession {
    pub fn new(program: Arc<CpuProgram>, options: &SessionOptions) -> Result<Self> {
        if options.cache_type_k.is_quantized() || options.cache_type_v.is_quantized() {
            return Err(Error::Config("cache formats below f16 are not supported yet".into()));
        }
        let plan = &program.model.graph.cache;
        let cache = PagedCache::new(plan, options, program.fingerprint, program.kernels)?;
        let plan = program.scratch(options)?;
        Ok(Self {
            buffers: scratch::buffers(&plan)?,
            scratch: Scratch::new(&program, &plan, options.context)?,
            rows: StepRows::new(&plan.capacity),
            options: options.clone(),
            program,
            plan,
            cache,
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
            self.cache.rollback();
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
        self.rows.read(&program, step, &self.plan.capacity, &self.options, &self.cache)?;
        self.cache.reserve(self.rows.reservations())?;
        outputs.reset(program.model.graph.output_width(), self.rows.wanted_counts());

        self.interrupted = true;
        let memory = Memory::new(
            &program,
            &self.plan.buffers,
            &self.rows,
            &mut self.buffers,
            outputs.data_mut(),
        );
        Executor {
            program: &program,
            kernels: program.kernels,
            pool: &program.pool,
            step,
            rows: &self.rows,
            capacity: &self.plan.capacity,
            context: self.options.context,
            memory,
            cache: &mut self.cache,
            scratch: &mut self.scratch,
        }
        .run();
        self.cache.commit();
        self.interrupted = false;
        Ok(())
    }

    fn cache(&mut self) -> &mut dyn KvCache {
        &mut self.cache
    }

    fn trim(&mut self) -> u64 {
        self.cache.trim()
    }
}
