//! The rows of a step: whose they are, at which positions, which are wanted.

use std::ops::Range;

use edgeformer_core::graph::{GraphInput, Mask, RowKind};
use edgeformer_core::{Error, Graph, Input, KvCache, Op, Result, SequenceId, SessionOptions};
use edgeformer_core::{Span, Step, Want};

use crate::program::{Action, Capacity, CpuProgram};

/// Filled anew by every step, within the capacity it was made for.
pub(super) struct StepRows {
    spans: Vec<SpanRows>,
    /// Span of every token row.
    span_of: Vec<u32>,
    /// Row of the full output for every output row, ascending.
    wanted: Vec<usize>,
    reservations: Vec<(SequenceId, usize)>,
}

/// The rows of one span.
#[derive(Debug, Clone)]
pub(super) struct SpanRows {
    pub sequence: SequenceId,
    /// Position of its first token.
    pub first: usize,
    /// Its token rows; none if the input is no text.
    pub tokens: Range<usize>,
    /// Its output rows.
    pub wanted: Range<usize>,
}

impl StepRows {
    pub fn new(capacity: &Capacity) -> Self {
        Self {
            spans: Vec::with_capacity(capacity.sequences),
            span_of: Vec::with_capacity(capacity.tokens),
            wanted: Vec::with_capacity(capacity.wanted),
            reservations: Vec::with_capacity(capacity.sequences),
        }
    }

    /// Rows of text that a step works on; where it works on images or signals, more than any text.
    pub fn work(&self) -> usize {
        if self.span_of.is_empty() { usize::MAX } else { self.span_of.len() }
    }

    /// Validates a step and takes its rows down.
    ///
    /// # Errors
    /// If it cannot run as it was asked for. Unknown sequences, sequences named twice and full
    /// caches are found by the reservation.
    pub fn read(
        &mut self,
        program: &CpuProgram,
        step: &Step<'_>,
        capacity: &Capacity,
        options: &SessionOptions,
        cache: &dyn KvCache,
    ) -> Result<()> {
        let graph = &program.model.graph;
        self.spans.clear();
        self.span_of.clear();
        self.wanted.clear();
        self.reservations.clear();
        if step.spans.is_empty() {
            return Err(Error::Step("it has no span".into()));
        }
        check_size(graph, step, capacity)?;
        for span in step.spans {
            let tokens = check_input(graph, span)?;
            let first = if graph.is_causal() { cache.len(span.sequence) } else { 0 };
            self.check_positions(program, span, first, tokens, options)?;
            self.add(graph, span, first, tokens);
        }
        if self.wanted.len() > capacity.wanted {
            return Err(Error::Step(format!(
                "{} output rows are wanted, the session was opened for {}: ask for fewer, or open it with more output rows",
                self.wanted.len(),
                capacity.wanted
            )));
        }
        Ok(())
    }

    fn check_positions(
        &self,
        program: &CpuProgram,
        span: &Span<'_>,
        first: usize,
        tokens: usize,
        options: &SessionOptions,
    ) -> Result<()> {
        let sequence = span.sequence;
        let end = first.saturating_add(tokens);
        if end > options.context && !options.visibility.is_endless() {
            return Err(Error::ContextFull { sequence, needed: end, limit: options.context });
        }
        if first > 0 && sees_both_sides(&program.model.graph) {
            return Err(Error::Step(format!(
                "{sequence} comes in pieces, the graph's bidirectional attention needs it whole"
            )));
        }
        for instruction in &program.code.instructions {
            let Action::Position { table, offset } = &instruction.action else { continue };
            let rows = program.model.graph.values[instruction.inputs[0].index()].rows;
            let end = match rows {
                RowKind::Token => end,
                RowKind::Patch(patches) => patches,
                RowKind::Sequence => 1,
            };
            if end.saturating_add(*offset) > table.rows {
                return Err(Error::Step(format!(
                    "{sequence} would reach position {}, the model knows {}: shorten the input",
                    end - 1,
                    table.rows.saturating_sub(*offset)
                )));
            }
        }
        Ok(())
    }

    fn add(&mut self, graph: &Graph, span: &Span<'_>, first: usize, tokens: usize) {
        let start = self.span_of.len();
        let index = self.spans.len();
        self.span_of.resize(start + tokens, index as u32);
        let rows = match graph.output_rows() {
            RowKind::Token => start..start + tokens,
            RowKind::Patch(patches) => index * patches..(index + 1) * patches,
            RowKind::Sequence => index..index + 1,
        };
        let from = self.wanted.len();
        match span.want {
            Want::Nothing => {}
            Want::Last => self.wanted.extend(rows.last()),
            Want::All => self.wanted.extend(rows),
        }
        self.spans.push(SpanRows {
            sequence: span.sequence,
            first,
            tokens: start..start + tokens,
            wanted: from..self.wanted.len(),
        });
        self.reservations.push((span.sequence, tokens));
    }

    pub fn spans(&self) -> &[SpanRows] {
        &self.spans
    }

    /// Output rows, as rows of the full output.
    pub fn wanted(&self) -> &[usize] {
        &self.wanted
    }

    /// Output rows of every span.
    pub fn wanted_counts(&self) -> impl Iterator<Item = usize> {
        self.spans.iter().map(|span| span.wanted.len())
    }

    pub fn reservations(&self) -> &[(SequenceId, usize)] {
        &self.reservations
    }

    /// Rows of a kind, of all spans.
    pub fn count(&self, kind: RowKind) -> usize {
        match kind {
            RowKind::Token => self.span_of.len(),
            RowKind::Patch(patches) => self.spans.len() * patches,
            RowKind::Sequence => self.spans.len(),
        }
    }

    /// Rows of a kind, of span `index`.
    pub fn range(&self, kind: RowKind, index: usize) -> Range<usize> {
        match kind {
            RowKind::Token => self.spans[index].tokens.clone(),
            RowKind::Patch(patches) => index * patches..(index + 1) * patches,
            RowKind::Sequence => index..index + 1,
        }
    }

    /// Position of a row of a kind within its sequence.
    pub fn position(&self, kind: RowKind, row: usize) -> usize {
        match kind {
            RowKind::Token => {
                let span = &self.spans[self.span_of[row] as usize];
                span.first + row - span.tokens.start
            }
            RowKind::Patch(patches) => row % patches,
            RowKind::Sequence => 0,
        }
    }

    /// Row of the full value behind row `row` of one that is compact or not.
    pub fn full_row(&self, compact: bool, row: usize) -> usize {
        if compact { self.wanted[row] } else { row }
    }
}

/// Before anything is taken down: nothing grows beyond what the session was opened for.
fn check_size(graph: &Graph, step: &Step<'_>, capacity: &Capacity) -> Result<()> {
    let (rows, limit, what) = match graph.input {
        GraphInput::Tokens { .. } => {
            let tokens = step.spans.iter().map(|span| match span.input {
                Input::Tokens(tokens) => tokens.len(),
                Input::Pixels(_) | Input::Signal(_) => 0,
            });
            (tokens.sum(), capacity.tokens, "tokens")
        }
        GraphInput::Pixels { .. } => (step.spans.len(), capacity.sequences, "images"),
        GraphInput::Signal { .. } => (step.spans.len(), capacity.sequences, "signals"),
    };
    if rows <= limit && step.spans.len() <= capacity.sequences {
        return Ok(());
    }
    Err(Error::Step(format!(
        "it has {rows} {what} in {} spans, the session's chunk holds {limit}: split it, or open the session with a longer chunk",
        step.spans.len()
    )))
}

/// Number of tokens, zero if the input is no text.
fn check_input(graph: &Graph, span: &Span<'_>) -> Result<usize> {
    let values = |channels: usize, len: usize, expected: usize| {
        if len == expected {
            return Ok(0);
        }
        Err(Error::Step(format!(
            "an input of {len} values, the model takes {channels} channels, {expected} values"
        )))
    };
    match (graph.input, span.input) {
        (GraphInput::Tokens { vocabulary, .. }, Input::Tokens(tokens)) => {
            if tokens.is_empty() {
                return Err(Error::Step(format!("{} gets no token", span.sequence)));
            }
            match tokens.iter().find(|&&token| token as usize >= vocabulary) {
                Some(&token) => Err(Error::Token { token, vocabulary }),
                None => Ok(tokens.len()),
            }
        }
        (GraphInput::Pixels { channels, size }, Input::Pixels(pixels)) => {
            values(channels, pixels.len(), channels * size[0] * size[1])
        }
        (GraphInput::Signal { channels, samples }, Input::Signal(signal)) => {
            values(channels, signal.len(), channels * samples)
        }
        (input, _) => Err(Error::Step(format!(
            "the input of {} is not what the model takes: {input}",
            span.sequence
        ))),
    }
}

fn sees_both_sides(graph: &Graph) -> bool {
    graph.nodes.iter().any(
        |node| matches!(&node.op, Op::Attention(attention) if attention.mask == Mask::Bidirectional),
    )
}
