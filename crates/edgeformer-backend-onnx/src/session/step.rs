//! One run: a span of one sequence.

use edgeformer_core::{AdapterScales, Input, Model, Op};
use edgeformer_sequences::Work;

use super::kept::Cached;
use super::variant::{Feed, Variant};
use crate::error::Problem;
use crate::runtime::Bound;
use crate::translate::tables;

/// Tables that grow with the sequences, and buffers of a run.
pub(super) struct Scratch {
    context: usize,
    /// Cosines and sines of each rotary embedding, for `positions` positions.
    tables: Vec<[Vec<f32>; 2]>,
    positions: usize,
    /// What is computed though nobody wants it.
    unwanted: Vec<f32>,
}

/// The small inputs of a run.
struct Inputs {
    tokens: Vec<i64>,
    embeddings: Vec<f32>,
    positions: Vec<i64>,
    rows: Vec<i64>,
    adapters: Vec<f32>,
    last: [i32; 1],
    total: [i32; 1],
}

impl Scratch {
    pub fn new(context: usize) -> Self {
        Self { context, tables: Vec::new(), positions: 0, unwanted: Vec::new() }
    }

    /// Runs a span; `out` gets the rows that are wanted.
    pub fn run(
        &mut self,
        model: &Model,
        variant: &Variant,
        cached: &mut Cached,
        work: &Work,
        (input, scales): (Input<'_>, &AdapterScales),
        out: &mut [f32],
    ) -> Result<(), Problem> {
        let needed = work.first + work.tokens;
        cached.reserve(work.first, needed);
        self.reach(variant, needed);
        let inputs = Inputs::new(model, variant, work, (input, scales))?;
        let width = model.graph.output_width();
        let out = match out {
            [] => {
                self.unwanted.resize(width, 0.0);
                self.unwanted.as_mut_slice()
            }
            out => out,
        };
        let rows = (out.len() / width) as i64;
        let shape = match variant.feeds.contains(&Feed::Rows) {
            true => vec![1, rows, width as i64],
            false => vec![1, width as i64],
        };
        let mut bound = bind(variant, &inputs, &self.tables, self.positions, cached, model, input)?;
        let mut outputs: Vec<Option<Bound<'_>>> = vec![Some(Bound::Out(out, shape))];
        outputs.resize_with(1 + variant.through.len(), || None);
        variant.runnable.run(&mut bound, &mut outputs, &variant.through)
    }

    /// Makes the tables long enough.
    fn reach(&mut self, variant: &Variant, positions: usize) {
        if positions <= self.positions || variant.ropes.is_empty() {
            return;
        }
        self.positions = (2 * self.positions).max(256).min(self.context).max(positions);
        let table = |rope| tables(rope, self.context, self.positions);
        self.tables = variant.ropes.iter().map(table).collect();
    }
}

/// What every input of the runtime's session is bound to, in their order.
fn bind<'a>(
    variant: &Variant,
    inputs: &'a Inputs,
    tables: &'a [[Vec<f32>; 2]],
    positions: usize,
    cached: &'a mut Cached,
    model: &Model,
    input: Input<'a>,
) -> Result<Vec<Bound<'a>>, Problem> {
    let mut sides: Vec<[Option<Bound<'a>>; 2]> = Vec::new();
    for (sides_of, &layout) in cached.sides().zip(&variant.slots) {
        sides.push(sides_of.each_mut().map(|side| {
            let shape = side.shape(layout);
            Some(Bound::Through(side.data_mut(), shape))
        }));
    }
    let table = |index: usize, side: usize| {
        let values = tables[index][side].as_slice();
        Bound::Floats(values, vec![positions as i64, (values.len() / positions) as i64])
    };
    let tokens = inputs.positions.len() as i64;
    let twice = || Problem::Runtime("one side of the cache is bound twice".into());
    let mut bound = Vec::new();
    for feed in &variant.feeds {
        bound.push(match *feed {
            Feed::Tokens => Bound::Longs(&inputs.tokens, vec![1, tokens]),
            Feed::Embeddings => {
                let width = inputs.embeddings.len() as i64 / tokens;
                Bound::Floats(&inputs.embeddings, vec![1, tokens, width])
            }
            Feed::Positions => Bound::Longs(&inputs.positions, vec![1, tokens]),
            Feed::Rows => Bound::Longs(&inputs.rows, vec![inputs.rows.len() as i64]),
            Feed::Last => Bound::Ints(&inputs.last, vec![1]),
            Feed::Total => Bound::Ints(&inputs.total, vec![1]),
            Feed::Cosines(index) => table(index, 0),
            Feed::Sines(index) => table(index, 1),
            Feed::Keys(slot) => sides[slot][0].take().ok_or_else(twice)?,
            Feed::Values(slot) => sides[slot][1].take().ok_or_else(twice)?,
            Feed::AdapterScales => {
                Bound::Floats(&inputs.adapters, vec![inputs.adapters.len() as i64])
            }
            Feed::Samples => samples(model, input)?,
        });
    }
    Ok(bound)
}

fn samples<'a>(model: &Model, input: Input<'a>) -> Result<Bound<'a>, Problem> {
    use edgeformer_core::graph::GraphInput;
    match (model.graph.input, input) {
        (GraphInput::Pixels { channels, size }, Input::Pixels(values)) => {
            let shape = [1, channels, size[0], size[1]].map(|size| size as i64);
            Ok(Bound::Floats(values, shape.to_vec()))
        }
        (GraphInput::Signal { channels, samples }, Input::Signal(values)) => {
            Ok(Bound::Floats(values, [1, channels, samples].map(|size| size as i64).to_vec()))
        }
        _ => Err(Problem::Runtime("the input is not of the graph's kind".into())),
    }
}

impl Inputs {
    fn new(
        model: &Model,
        variant: &Variant,
        work: &Work,
        (input, scales): (Input<'_>, &AdapterScales),
    ) -> Result<Self, Problem> {
        let tokens = match input {
            Input::Tokens(tokens) => tokens,
            Input::Pixels(_) | Input::Signal(_) => &[],
        };
        let embeddings = match variant.feeds.contains(&Feed::Embeddings) {
            true => embed(model, tokens)?,
            false => Vec::new(),
        };
        let adapters = match variant.feeds.contains(&Feed::AdapterScales) {
            true => model.graph.adapter_scales(scales),
            false => Vec::new(),
        };
        let end = work.first + work.tokens;
        let counted = |count: usize| {
            i32::try_from(count)
                .map_err(|_| Problem::Runtime(format!("{count} tokens are too many")))
        };
        let rows = match work.wanted.is_empty() {
            // Of a prompt that only fills the cache one row is computed, and dropped.
            true => vec![work.tokens.saturating_sub(1) as i64],
            false => work.wanted.clone().map(|row| row as i64).collect(),
        };
        Ok(Self {
            tokens: tokens.iter().map(|&token| i64::from(token)).collect(),
            embeddings,
            positions: (work.first..end).map(|position| position as i64).collect(),
            rows,
            adapters,
            last: [counted(end)?.saturating_sub(1)],
            total: [counted(end)?],
        })
    }
}

/// Rows of the embedding's table, decoded.
fn embed(model: &Model, tokens: &[u32]) -> Result<Vec<f32>, Problem> {
    let problem = |error: edgeformer_core::Error| Problem::Runtime(error.to_string());
    let table = model.graph.nodes.iter().find_map(|node| match node.op {
        Op::Embed { table, .. } => Some(table),
        _ => None,
    });
    let table = table.ok_or_else(|| Problem::Runtime("a graph without an embedding".into()))?;
    let weight = model.weights.get(&model.graph.weight(table).name).map_err(problem)?;
    let width = weight.shape()[1];
    let mut rows = vec![0.0; tokens.len() * width];
    for (&token, row) in tokens.iter().zip(rows.chunks_exact_mut(width)) {
        let mut index = token as usize;
        let mut parts = weight.parts().iter();
        let part = loop {
            match parts.next() {
                Some(part) if index < part.shape()[0] => break part,
                Some(part) => index -= part.shape()[0],
                None => return Err(Problem::Runtime(format!("token {token} has no embedding"))),
            }
        };
        let bytes = part.bytes().len() / part.shape()[0];
        let bytes = &part.bytes()[index * bytes..][..bytes];
        part.format().dequantize(bytes, row).map_err(problem)?;
    }
    Ok(rows)
}
