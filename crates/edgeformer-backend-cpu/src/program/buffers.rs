//! Where values live: buffers that are reused as soon as nobody reads what they hold.

use edgeformer_core::graph::{GraphInput, RowKind, Value};
use edgeformer_core::{Error, Graph, Result, SessionOptions};

use super::schedule::Schedule;

/// Keeps products of rows and widths countable.
const LONGEST_CHUNK: usize = 1 << 24;

/// Most rows that a step of a session may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Token rows of all spans.
    pub tokens: usize,
    /// Spans.
    pub sequences: usize,
    /// Output rows.
    pub wanted: usize,
}

impl Capacity {
    /// # Errors
    /// If a step could have no row, or more than anybody can want.
    pub fn new(graph: &Graph, options: &SessionOptions) -> Result<Self> {
        if !(1..=LONGEST_CHUNK).contains(&options.chunk) {
            let problem = format!("chunk is {}, it must be 1 to {LONGEST_CHUNK}", options.chunk);
            return Err(Error::Config(problem));
        }
        // An image comes as a whole: one always fits, however short the chunk.
        let sequences = match graph.input {
            GraphInput::Tokens { .. } => options.chunk,
            GraphInput::Pixels { .. } | GraphInput::Signal { .. } => {
                (options.chunk / most_patches(graph)).max(1)
            }
        };
        let mut capacity = Self { tokens: options.chunk, sequences, wanted: 0 };
        let output = graph.values[graph.output.value.index()];
        capacity.wanted = capacity.rows(output.rows).min(options.output_rows);
        Ok(capacity)
    }

    /// Most rows of a kind.
    pub fn rows(&self, kind: RowKind) -> usize {
        match kind {
            RowKind::Token => self.tokens,
            RowKind::Patch(patches) => self.sequences.saturating_mul(patches),
            RowKind::Sequence => self.sequences,
        }
    }
}

fn most_patches(graph: &Graph) -> usize {
    let patches = graph.values.iter().map(|info| match info.rows {
        RowKind::Patch(patches) => patches,
        RowKind::Token | RowKind::Sequence => 1,
    });
    patches.max().unwrap_or(1)
}

/// Where a value lives while it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is never made.
    Nowhere,
    /// In a buffer.
    Buffer(usize),
    /// In the caller's outputs.
    Outputs,
}

/// Places of all values, and how large the buffers must be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BufferPlan {
    /// By value.
    pub places: Vec<Place>,
    /// Elements of each buffer.
    pub sizes: Vec<usize>,
}

impl BufferPlan {
    pub fn new(graph: &Graph, schedule: &Schedule, capacity: &Capacity) -> Self {
        let mut plan = Self { places: vec![Place::Nowhere; graph.values.len()], sizes: Vec::new() };
        let mut free = Vec::new();
        for step in &schedule.steps {
            let (inputs, outputs) = (&step.group.inputs, &step.group.outputs);
            if let Some(input) = step.takes_over {
                let place = plan.places[inputs[input].index()];
                plan.places[outputs[0].index()] = place;
            } else {
                for &value in outputs {
                    let size = elements(graph, schedule, capacity, value);
                    plan.places[value.index()] = if schedule.in_outputs[value.index()] {
                        Place::Outputs
                    } else {
                        Place::Buffer(plan.claim(&mut free, size))
                    };
                }
            }
            let inherited = step.takes_over.map(|input| inputs[input]);
            for value in step.dies.iter().filter(|value| Some(**value) != inherited) {
                if let Place::Buffer(buffer) = plan.places[value.index()] {
                    free.push(buffer);
                }
            }
        }
        plan
    }

    /// The smallest free buffer that is large enough, or the largest, grown, or a new one.
    fn claim(&mut self, free: &mut Vec<usize>, size: usize) -> usize {
        let fits = |&at: &usize| self.sizes[free[at]] >= size;
        let best = (0..free.len()).filter(fits).min_by_key(|&at| self.sizes[free[at]]);
        let chosen = best.or_else(|| (0..free.len()).max_by_key(|&at| self.sizes[free[at]]));
        let Some(at) = chosen else {
            self.sizes.push(size);
            return self.sizes.len() - 1;
        };
        let buffer = free.swap_remove(at);
        self.sizes[buffer] = self.sizes[buffer].max(size);
        buffer
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        let elements = self.sizes.iter().fold(0u64, |sum, &size| sum.saturating_add(size as u64));
        elements.saturating_mul(size_of::<f32>() as u64)
    }
}

fn elements(graph: &Graph, schedule: &Schedule, capacity: &Capacity, value: Value) -> usize {
    let info = graph.values[value.index()];
    let rows = match schedule.compact[value.index()] {
        true => capacity.wanted,
        false => capacity.rows(info.rows),
    };
    rows.saturating_mul(info.width)
}
