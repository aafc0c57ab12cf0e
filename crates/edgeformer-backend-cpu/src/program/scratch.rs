//! The memory of a session besides weights and cache, from shapes alone.

use edgeformer_core::graph::Value;
use edgeformer_core::{Graph, Op, Result, SessionOptions};

use super::attention::{SplitRoom, ThreadRoom};
use super::buffers::{BufferPlan, Capacity};
use super::needs::Needs;
use super::rope::RopeTable;
use super::schedule::Schedule;
use crate::kernels::Q8Buffer;

/// Sizes of everything that a session allocates when it opens; a step allocates nothing.
#[derive(Debug)]
pub(crate) struct ScratchPlan {
    pub capacity: Capacity,
    pub buffers: BufferPlan,
    /// Elements of each rope table.
    pub ropes: Vec<usize>,
    /// Elements of `[latent | rotated key]` rows on their way to the cache.
    pub latent_rows: usize,
    /// Rows and columns of values in 8 bits.
    pub quantized: [usize; 2],
    pub experts: ExpertRoom,
    /// Of each thread.
    pub thread: ThreadRoom,
    /// Of contexts that threads share.
    pub splits: SplitRoom,
    /// Elements of the caller's output rows.
    pub outputs: usize,
}

/// What a mixture of experts needs room for, for the largest of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ExpertRoom {
    /// Elements of router scores.
    pub scores: usize,
    /// Pairs of a row and an expert.
    pub picks: usize,
    /// Experts.
    pub count: usize,
    /// Elements of the rows of one expert.
    pub rows: usize,
    /// Elements of their inner values.
    pub inner: usize,
}

impl ScratchPlan {
    pub fn new(
        graph: &Graph,
        schedule: &Schedule,
        ropes: &[RopeTable],
        needs: &Needs,
        options: &SessionOptions,
        threads: usize,
    ) -> Result<Self> {
        let capacity = Capacity::new(graph, options)?;
        let mut plan = Self {
            buffers: BufferPlan::new(graph, schedule, &capacity),
            ropes: ropes
                .iter()
                .map(|table| capacity.rows(table.rows).saturating_mul(table.width()))
                .collect(),
            latent_rows: 0,
            quantized: [0, needs.q8_columns],
            experts: ExpertRoom::default(),
            thread: ThreadRoom::default(),
            splits: SplitRoom::default(),
            outputs: capacity.wanted.saturating_mul(graph.output_width()),
            capacity,
        };
        for node in schedule.nodes(graph) {
            let input = node.inputs.first().copied();
            let rows = input.map_or(0, |value| capacity.rows(graph.values[value.index()].rows));
            plan.add(graph, &node.op, input, rows);
            plan.thread.add(&node.op, &capacity, options, threads);
            plan.splits.add(&node.op, options, threads);
        }
        Ok(plan)
    }

    fn add(&mut self, graph: &Graph, op: &Op, input: Option<Value>, rows: usize) {
        let Some(input) = input.map(|value| graph.values[value.index()]) else { return };
        match op {
            Op::LatentAttention(attention) => {
                let row = attention.rank + attention.rope_dim;
                self.latent_rows = self.latent_rows.max(rows.saturating_mul(row));
            }
            Op::Position { .. } => self.thread.row = self.thread.row.max(input.width),
            Op::Linear { .. } if self.quantized[1] > 0 => {
                self.quantized[0] = self.quantized[0].max(rows);
            }
            Op::Experts(experts) => {
                if self.quantized[1] > 0 {
                    self.quantized[0] = self.quantized[0].max(rows);
                }
                self.experts.scores = self.experts.scores.max(rows * experts.count);
                self.experts.picks = self.experts.picks.max(rows * experts.top_k);
                self.experts.count = self.experts.count.max(experts.count);
                self.experts.rows = self.experts.rows.max(rows.saturating_mul(input.width));
                self.experts.inner = self.experts.inner.max(rows.saturating_mul(experts.width));
            }
            _ => {}
        }
    }

    /// Bytes of all of it, for `threads` threads.
    pub fn bytes(&self, threads: usize) -> u64 {
        let [rows, columns] = self.quantized;
        let thread = self.thread.bytes().saturating_mul(threads as u64);
        let own = self.ropes.iter().map(|&size| size as u64).fold(0, u64::saturating_add);
        let elements = [own, self.latent_rows as u64, self.experts.elements()];
        let elements = elements.into_iter().fold(self.outputs as u64, u64::saturating_add);
        elements
            .saturating_mul(size_of::<f32>() as u64)
            .saturating_add(thread)
            .saturating_add(self.splits.bytes())
            .saturating_add(self.buffers.bytes())
            .saturating_add(Q8Buffer::bytes(rows, columns) as u64)
    }
}

impl ExpertRoom {
    /// Elements in all, each of four bytes.
    pub fn elements(&self) -> u64 {
        let floats = self.scores as u64 + 2 * self.rows as u64 + 2 * self.inner as u64;
        // A pick is an expert and a weight, and is listed once more in the expert's order; every
        // expert has a place in that list, and may be a group of its own.
        floats + 3 * self.picks as u64 + 2 * self.count as u64 + 1
    }
}
