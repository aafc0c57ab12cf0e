use std::sync::Mutex;

use edgeformer_core::graph::Value;
use edgeformer_core::{Error, Result};

use super::attend::{PageChoice, QueryRoom, Sums, View};
use crate::kernels::{Q8Buffer, Q8Rows};
use crate::program::{
    CpuProgram, ExpertRoom, SPLIT, ScratchPlan, SplitRoom, ThreadRoom, query_scales,
};

/// Memory that a step works in, besides values and cache.
pub(super) struct Scratch {
    pub quantized: Quantized,
    /// By rope table.
    pub ropes: Vec<Turns>,
    pub latent_rows: Vec<f32>,
    pub experts: ExpertScratch,
    /// One a thread; never contended.
    pub threads: Vec<Mutex<ThreadScratch>>,
    /// Never contended.
    pub splits: Mutex<SplitScratch>,
}

/// How far positions turn.
pub(super) struct Turns {
    /// Radians a position, of every pair of columns.
    pub frequencies: Vec<f32>,
    /// Cosines and sines of the step's rows.
    pub values: Vec<f32>,
}

/// A value in 8 bits, shared by all linears that read it.
#[derive(Default)]
pub(super) struct Quantized {
    pub buffer: Q8Buffer,
    /// Which value it is.
    pub of: Option<Value>,
}

impl Quantized {
    pub fn view(&self) -> Q8Rows<'_> {
        self.buffer.view()
    }
}

/// What one thread works in: see [`ThreadRoom`].
pub(super) struct ThreadScratch {
    pub queries: QueryRoom,
    /// The same queries, turned back for keys that lie behind a gap.
    pub turned: QueryRoom,
    /// What each query sees.
    pub views: Vec<View>,
    pub sums: Sums,
    /// [`SPLIT`] for each query of a job.
    pub scores: Vec<f32>,
    /// What each query of a job gets of a split.
    pub part: Sums,
    /// Scores that are kept for those who watch, a row a query.
    pub recorded: Vec<f32>,
    pub choice: PageChoice,
    pub expanded: Vec<f32>,
    pub row: Vec<f32>,
}

/// What threads that share a context work in: see [`SplitRoom`].
pub(super) struct SplitScratch {
    /// Those of all heads, key-value head by key-value head.
    pub queries: QueryRoom,
    pub views: Vec<View>,
    /// Split by split, what the queries of each key-value head get.
    pub parts: Sums,
    pub sums: Sums,
}

/// What a mixture of experts works in: see [`ExpertRoom`].
pub(super) struct ExpertScratch {
    pub scores: Vec<f32>,
    /// Expert and weight of every pick, row after row.
    pub picks: Vec<(u32, f32)>,
    /// Picks in the order of experts.
    pub order: Vec<u32>,
    /// Where an expert's picks start in `order`, and the end.
    pub starts: Vec<u32>,
    /// By group: whether a row may pick from it.
    pub kept: Vec<u32>,
    pub input: Vec<f32>,
    pub output: Vec<f32>,
    pub gate: Vec<f32>,
    pub up: Vec<f32>,
}

impl Scratch {
    pub fn new(program: &CpuProgram, plan: &ScratchPlan, context: usize) -> Result<Self> {
        let mut quantized = Quantized::default();
        let [rows, columns] = plan.quantized;
        if rows > 0 && columns > 0 {
            quantized.buffer.reset(rows, columns);
        }
        let turns = program.code.ropes.iter().zip(&plan.ropes).map(|(table, &size)| {
            Ok(Turns { frequencies: table.rope.frequencies(context), values: zeros(size)? })
        });
        Ok(Self {
            quantized,
            ropes: turns.collect::<Result<_>>()?,
            latent_rows: zeros(plan.latent_rows)?,
            experts: ExpertScratch::new(&plan.experts)?,
            threads: (0..program.crews.most())
                .map(|_| Ok(Mutex::new(ThreadScratch::new(&plan.thread)?)))
                .collect::<Result<_>>()?,
            splits: Mutex::new(SplitScratch::new(&plan.splits)?),
        })
    }

    #[cfg(test)]
    pub fn bytes(&self) -> u64 {
        let thread = |scratch: &Mutex<ThreadScratch>| scratch.lock().unwrap().bytes();
        let experts = &self.experts;
        let floats = [&experts.scores, &experts.input, &experts.output, &experts.gate, &experts.up];
        let floats: usize = floats.map(|part| size_of_val(&part[..])).iter().sum();
        let lists = size_of_val(&experts.picks[..])
            + size_of_val(&experts.order[..])
            + size_of_val(&experts.starts[..])
            + size_of_val(&experts.kept[..]);
        let ropes: usize = self.ropes.iter().map(|turns| size_of_val(&turns.values[..])).sum();
        let threads: usize = self.threads.iter().map(thread).sum();
        let latent = size_of_val(&self.latent_rows[..]);
        let splits = self.splits.lock().unwrap().bytes();
        (floats + lists + ropes + threads + splits + latent + self.quantized.buffer.allocated())
            as u64
    }
}

impl ThreadScratch {
    fn new(room: &ThreadRoom) -> Result<Self> {
        Ok(Self {
            queries: QueryRoom::new(room.queries)?,
            turned: if room.turned { QueryRoom::new(room.queries)? } else { QueryRoom::default() },
            views: Vec::with_capacity(room.count),
            sums: Sums::new(room.summed, room.sums)?,
            scores: zeros(room.count * SPLIT)?,
            part: Sums::new(room.count, room.part)?,
            recorded: zeros(room.recorded)?,
            choice: PageChoice {
                chosen: vec![false; room.pages * room.count],
                ranked: Vec::with_capacity(room.pages),
                pages: room.pages,
            },
            expanded: zeros(room.expanded)?,
            row: zeros(room.row)?,
        })
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        let floats = [&self.scores, &self.recorded, &self.expanded, &self.row];
        let floats: usize = floats.map(|part| size_of_val(&part[..])).iter().sum();
        let sums = self.sums.bytes() + self.part.bytes();
        let queries: usize = [&self.queries, &self.turned].map(QueryRoom::bytes).iter().sum();
        let ranked = self.choice.ranked.capacity() * size_of::<(f32, u32)>();
        floats + sums + queries + size_of_val(&self.choice.chosen[..]) + ranked
    }
}

impl SplitScratch {
    fn new(room: &SplitRoom) -> Result<Self> {
        Ok(Self {
            queries: QueryRoom::new(room.queries)?,
            views: Vec::with_capacity(room.count),
            parts: Sums::new(room.count * room.parts, room.sums * room.parts)?,
            sums: Sums::new(room.count, room.sums)?,
        })
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.queries.bytes() + self.parts.bytes() + self.sums.bytes()
    }
}

impl Sums {
    fn new(queries: usize, values: usize) -> Result<Self> {
        let (largest, totals) = (zeros(queries)?, zeros(queries)?);
        Ok(Self { largest, totals, values: zeros(values)? })
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        [&self.largest, &self.totals, &self.values].map(|part| size_of_val(&part[..])).iter().sum()
    }
}

impl QueryRoom {
    fn new(elements: usize) -> Result<Self> {
        let (codes, scales) = (vec![0; elements], zeros(query_scales(elements))?);
        Ok(Self { floats: zeros(elements)?, codes, scales })
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        size_of_val(&self.floats[..]) + self.codes.len() + size_of_val(&self.scales[..])
    }
}

impl ExpertScratch {
    fn new(room: &ExpertRoom) -> Result<Self> {
        Ok(Self {
            scores: zeros(room.scores)?,
            picks: vec![(0, 0.0); room.picks],
            order: vec![0; room.picks],
            starts: vec![0; room.count + 1],
            kept: vec![0; room.count],
            input: zeros(room.rows)?,
            output: zeros(room.rows)?,
            gate: zeros(room.inner)?,
            up: zeros(room.inner)?,
        })
    }
}

/// The buffers that values live in.
pub(super) fn buffers(plan: &ScratchPlan) -> Result<Vec<Vec<f32>>> {
    plan.buffers.sizes.iter().map(|&size| zeros(size)).collect()
}

/// Zeros, or an error where there is not as much memory.
fn zeros(elements: usize) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    values.try_reserve_exact(elements).map_err(|_| Error::Backend {
        backend: "cpu".into(),
        problem: format!(
            "no memory for {elements} values of scratch: lower the chunk, the output rows or the context"
        ),
    })?;
    values.resize(elements, 0.0);
    Ok(values)
}
