use edgeformer_core::graph::Value;
use edgeformer_core::{Graph, Rows};

use super::rows::StepRows;
use crate::program::{BufferPlan, CpuProgram, Place, Schedule};

/// The values of a step.
pub(super) struct Memory<'a> {
    graph: &'a Graph,
    schedule: &'a Schedule,
    plan: &'a BufferPlan,
    rows: &'a StepRows,
    buffers: &'a mut [Vec<f32>],
    outputs: &'a mut [f32],
    /// The tail has begun: every value has the wanted rows alone.
    tail: bool,
}

/// Memory of a value, taken out to be written while others are read.
pub(super) enum Lent<'a> {
    /// Goes back to its buffer.
    Buffer(Vec<f32>, usize),
    /// The caller's outputs.
    Outputs(&'a mut [f32]),
}

impl Lent<'_> {
    /// The value's elements.
    pub fn data(&mut self) -> &mut [f32] {
        match self {
            Self::Buffer(buffer, len) => &mut buffer[..*len],
            Self::Outputs(outputs) => outputs,
        }
    }
}

impl<'a> Memory<'a> {
    pub fn new(
        program: &'a CpuProgram,
        plan: &'a BufferPlan,
        rows: &'a StepRows,
        buffers: &'a mut [Vec<f32>],
        outputs: &'a mut [f32],
    ) -> Self {
        let (graph, schedule) = (&program.model.graph, &program.schedule);
        Self { graph, schedule, plan, rows, buffers, outputs, tail: false }
    }

    /// Columns of a value.
    pub fn width(&self, value: Value) -> usize {
        self.graph.width(value)
    }

    /// Whether a value has the wanted rows alone.
    pub fn is_compact(&self, value: Value) -> bool {
        self.tail || self.schedule.compact[value.index()]
    }

    /// Rows of a value in this step.
    pub fn count(&self, value: Value) -> usize {
        match self.is_compact(value) {
            true => self.rows.wanted().len(),
            false => self.rows.count(self.graph.values[value.index()].rows),
        }
    }

    fn len(&self, value: Value) -> usize {
        self.count(value) * self.width(value)
    }

    /// A value, to read.
    pub fn read(&self, value: Value) -> Rows<'_> {
        let data = match self.plan.places[value.index()] {
            Place::Buffer(buffer) => &self.buffers[buffer][..self.len(value)],
            Place::Outputs => &*self.outputs,
            Place::Nowhere => &[],
        };
        Rows::new(data, self.width(value))
    }

    /// Takes a value out, to write it. It goes back with [`put_back`](Self::put_back).
    pub fn take(&mut self, value: Value) -> Lent<'a> {
        let len = self.len(value);
        match self.plan.places[value.index()] {
            Place::Buffer(buffer) => Lent::Buffer(std::mem::take(&mut self.buffers[buffer]), len),
            Place::Outputs => Lent::Outputs(std::mem::take(&mut self.outputs)),
            Place::Nowhere => Lent::Buffer(Vec::new(), 0),
        }
    }

    pub fn put_back(&mut self, value: Value, lent: Lent<'a>) {
        match (self.plan.places[value.index()], lent) {
            (Place::Buffer(buffer), Lent::Buffer(data, _)) => self.buffers[buffer] = data,
            (_, Lent::Outputs(outputs)) => self.outputs = outputs,
            (_, Lent::Buffer(..)) => {}
        }
    }

    /// Moves the wanted rows of the values that reach into the tail together, and begins it.
    pub fn begin_tail(&mut self) {
        for &value in &self.schedule.crossing {
            let width = self.width(value);
            if let Place::Buffer(buffer) = self.plan.places[value.index()] {
                for (to, &from) in self.rows.wanted().iter().enumerate() {
                    // Ascending, and never to a row that is still to be read.
                    if to != from {
                        let row = from * width..(from + 1) * width;
                        self.buffers[buffer].copy_within(row, to * width);
                    }
                }
            }
        }
        self.tail = true;
    }

    /// Copies the output to the caller, unless it was written there.
    pub fn deliver(&mut self) {
        let value = self.graph.output.value;
        if let Place::Buffer(buffer) = self.plan.places[value.index()] {
            self.outputs.copy_from_slice(&self.buffers[buffer][..self.outputs.len()]);
        }
    }
}
