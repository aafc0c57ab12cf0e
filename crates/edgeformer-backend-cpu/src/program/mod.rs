//! Programs: a model, compiled for this machine.
//!
//! - `fusion`: which nodes share a step
//! - `schedule`: which nodes run, on which rows, how long values live
//! - `buffers`, `scratch`, `needs`: memory, from shapes and formats alone
//! - `pack_plan`, `panels`: weights rearranged for the kernels
//! - `packed`: files of them, written and mapped
//! - `compile`: ops to actions, with `linear`, `part`, `matrix`, `rope`, `latent` for their weights
//! - `attention`: how attention is cut into jobs
//! - `explain`: what was chosen, for people
//! - `threads`: who works on a step
//! - `fingerprint`: which model a saved sequence belongs to

mod attention;
mod buffers;
mod compile;
mod explain;
mod fusion;
mod latent;
mod linear;
mod matrix;
mod needs;
mod pack_plan;
mod packed;
mod panels;
mod part;
mod rope;
mod schedule;
mod scratch;
mod threads;

use std::io::{self, Write};
use std::sync::Arc;

use self::pack_plan::PackPlan;
use self::packed::Subject;
use self::panels::Panels;
use edgeformer_core::{
    CompileOptions, Footprint, Graph, Model, PackedFile, PackedSummary, PackedUse, Program, Result,
    Session, SessionOptions, Weights,
};

use crate::cache::PagedCache;
use crate::kernels::Kernels;
use crate::pool::Pool;
use crate::session::CpuSession;

pub(crate) use attention::{
    Jobs, KEYS, SPLIT, SplitJobs, SplitRoom, ThreadRoom, query_scales, shows_parts,
};
pub(crate) use buffers::{BufferPlan, Capacity, Place};
pub(crate) use compile::{
    Action, Code, Expert, Experts, GatedPair, Instruction, QueryRope, RowNorm,
};
pub(crate) use explain::explain;
pub(crate) use fusion::MOST_SIBLINGS;
pub(crate) use latent::{LatentCost, UpProjections};
pub(crate) use linear::{Linear, Tile};
pub(crate) use needs::Needs;
pub(crate) use part::Table;
pub(crate) use rope::RopeTable;
pub(crate) use schedule::Schedule;
pub(crate) use scratch::{ExpertRoom, ScratchPlan};
pub(crate) use threads::{Crews, Threads};

/// A compiled model. Sessions share it and its threads: they take turns, op by op.
pub(crate) struct CpuProgram {
    /// Keeps the weights mapped.
    pub model: Arc<Model>,
    pub kernels: &'static Kernels,
    pub crews: Crews,
    pub schedule: Arc<Schedule>,
    pub code: Arc<Code>,
    pub needs: Arc<Needs>,
    pub fingerprint: u64,
    packed: PackedUse,
}

/// What is known of a program before its weights are packed.
struct Prepared {
    schedule: Schedule,
    fingerprint: u64,
    plan: PackPlan,
}

impl Prepared {
    fn new(model: &Model, kernels: &Kernels, repack: bool) -> Result<Self> {
        let (graph, weights) = (&model.graph, &model.weights);
        graph.check()?;
        weights.check(graph)?;
        let schedule = Schedule::new(graph);
        let fingerprint = model.fingerprint()?;
        let plan = pack_plan(model, &schedule, kernels, repack)?;
        Ok(Self { schedule, fingerprint, plan })
    }

    /// What a file of packed weights has to fit.
    fn subject<'a>(&'a self, weights: &'a Weights, pool: &'a Pool) -> Subject<'a> {
        Subject { plan: &self.plan, weights, fingerprint: self.fingerprint, pool }
    }
}

impl CpuProgram {
    /// Compiles a model; its threads are `threads`, whatever the options say.
    pub fn new(
        model: Arc<Model>,
        kernels: &'static Kernels,
        threads: Threads,
        options: &CompileOptions,
    ) -> Result<Self> {
        let weights = &model.weights;
        let prepared = Prepared::new(&model, kernels, options.repack)?;
        let needs = Needs::new(&model.graph, weights, &prepared.schedule, &prepared.plan)?;
        let crews = Crews::new(threads);
        let pool = crews.for_rows(usize::MAX);
        // Where nothing is packed there is nothing that a file could hold.
        let file = options.packed.as_ref().filter(|_| prepared.plan.bytes() > 0);
        let found = file.map(|file| packed::panels(file, &prepared.subject(weights, pool)));
        let Prepared { schedule, fingerprint, plan } = prepared;
        let (panels, packed) = match found {
            Some(Ok(memory)) => {
                let used = PackedUse::Mapped(plan.tensors().len());
                (Panels::packed(plan, memory), used)
            }
            Some(Err(why)) => (Panels::pack(plan, weights, pool)?, PackedUse::Refused(why)),
            None => (Panels::pack(plan, weights, pool)?, PackedUse::Absent),
        };
        let code = Code::new(&model, &schedule, kernels, &panels, threads.most())?;
        // What was read to get here is copied; steps fetch what they read in place.
        weights.release_all();
        let (schedule, code, needs) = (Arc::new(schedule), Arc::new(code), Arc::new(needs));
        Ok(Self { model, kernels, crews, schedule, code, needs, fingerprint, packed })
    }

    /// The same program with other threads; what was compiled is shared.
    pub fn with_threads(&self, threads: Threads) -> Self {
        Self {
            model: self.model.clone(),
            kernels: self.kernels,
            crews: Crews::new(threads),
            schedule: self.schedule.clone(),
            code: self.code.clone(),
            needs: self.needs.clone(),
            fingerprint: self.fingerprint,
            packed: self.packed.clone(),
        }
    }

    pub fn scratch(&self, options: &SessionOptions) -> Result<ScratchPlan> {
        let (graph, threads) = (&self.model.graph, self.crews.most());
        ScratchPlan::new(graph, &self.schedule, &self.code.ropes, &self.needs, options, threads)
    }
}

/// What a session would take, without compiling.
pub(crate) fn plan(
    model: &Model,
    kernels: &Kernels,
    threads: usize,
    repack: bool,
    options: &SessionOptions,
) -> Result<Footprint> {
    let graph = &model.graph;
    graph.check()?;
    model.weights.check(graph)?;
    let schedule = Schedule::new(graph);
    let packed = pack_plan(model, &schedule, kernels, repack)?;
    let needs = Needs::new(graph, &model.weights, &schedule, &packed)?;
    let ropes = compile::rope_tables(graph, &schedule);
    let scratch = ScratchPlan::new(graph, &schedule, &ropes, &needs, options, threads)?;
    footprint(graph, &needs, &scratch, options, threads)
}

/// Writes the panels of a model as a file.
pub(crate) fn write_packed(
    model: &Model,
    kernels: &Kernels,
    threads: Threads,
    to: &mut dyn Write,
    progress: &dyn Fn(u64, u64) -> io::Result<()>,
) -> Result<PackedSummary> {
    let prepared = Prepared::new(model, kernels, true)?;
    let crews = Crews::new(threads);
    packed::write(&prepared.subject(&model.weights, crews.for_rows(usize::MAX)), to, progress)
}

/// What becomes of a file of packed weights; with `all`, after reading all of it and of the model.
pub(crate) fn check_packed(
    model: &Model,
    kernels: &Kernels,
    threads: Threads,
    file: &PackedFile,
    all: bool,
) -> Result<PackedUse> {
    let prepared = Prepared::new(model, kernels, true)?;
    if prepared.plan.bytes() == 0 {
        return Ok(PackedUse::Absent);
    }
    let crews = Crews::new(threads);
    let subject = prepared.subject(&model.weights, crews.for_rows(usize::MAX));
    let checked = match all {
        true => packed::check_all(file, &subject),
        false => packed::panels(file, &subject).map(drop),
    };
    let mapped = |()| PackedUse::Mapped(prepared.plan.tensors().len());
    Ok(checked.map_or_else(PackedUse::Refused, mapped))
}

fn pack_plan(
    model: &Model,
    schedule: &Schedule,
    kernels: &Kernels,
    repack: bool,
) -> Result<PackPlan> {
    match repack {
        true => PackPlan::new(&model.graph, &model.weights, schedule, kernels),
        false => Ok(PackPlan::default()),
    }
}

fn footprint(
    graph: &Graph,
    needs: &Needs,
    scratch: &ScratchPlan,
    options: &SessionOptions,
    threads: usize,
) -> Result<Footprint> {
    let (cache, cache_per_token) = PagedCache::footprint(&graph.cache, options)?;
    Ok(Footprint {
        weights: needs.mapped + needs.packed + needs.decoded,
        cache,
        cache_per_token,
        scratch: scratch.bytes(threads),
    })
}

impl Program for CpuProgram {
    fn graph(&self) -> &Graph {
        &self.model.graph
    }

    fn footprint(&self, options: &SessionOptions) -> Footprint {
        let threads = self.crews.most();
        let scratch = self.scratch(options);
        let footprint = scratch
            .and_then(|scratch| footprint(self.graph(), &self.needs, &scratch, options, threads));
        // A session that cannot be opened takes nothing.
        footprint.unwrap_or_default()
    }

    fn with_threads(&self, options: &CompileOptions) -> Result<Arc<dyn Program>> {
        Ok(Arc::new(Self::with_threads(self, crate::backend::threads(options)?)))
    }

    fn packed(&self) -> &PackedUse {
        &self.packed
    }

    fn open(self: Arc<Self>, options: &SessionOptions) -> Result<Box<dyn Session>> {
        Ok(Box::new(CpuSession::new(self, options)?))
    }
}
