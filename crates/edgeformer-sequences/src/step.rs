//! Steps that cannot run are refused before anything is computed.

use std::ops::Range;

use edgeformer_core::graph::{GraphInput, Mask, RowKind};
use edgeformer_core::{
    Error, Graph, Input, Op, Result, SequenceId, SessionOptions, Span, Step, Want,
};

/// What a step asks of one sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The sequence.
    pub sequence: SequenceId,
    /// Position of its first token.
    pub first: usize,
    /// Tokens that it is fed; none if the input is no text.
    pub tokens: usize,
    /// Rows of the output that are wanted, counted within the span's own.
    pub wanted: Range<usize>,
}

/// What a step asks, a span each. `length` tells how many tokens a sequence holds.
pub(crate) fn read(
    graph: &Graph,
    options: &SessionOptions,
    step: &Step<'_>,
    length: impl Fn(SequenceId) -> Result<usize>,
) -> Result<Vec<Work>> {
    if step.spans.is_empty() {
        return Err(Error::Step("it has no span".into()));
    }
    check_size(graph, options, step)?;
    let mut work = Vec::with_capacity(step.spans.len());
    for (index, span) in step.spans.iter().enumerate() {
        if step.spans[..index].iter().any(|other| other.sequence == span.sequence) {
            return Err(Error::Step(format!("{} is in two spans", span.sequence)));
        }
        let tokens = check_input(graph, span)?;
        let held = length(span.sequence)?;
        let first = if graph.is_causal() { held } else { 0 };
        check_positions(graph, options, span.sequence, first, tokens)?;
        let wanted = wanted(graph, span.want, tokens);
        work.push(Work { sequence: span.sequence, first, tokens, wanted });
    }
    let rows: usize = work.iter().map(|work| work.wanted.len()).sum();
    if rows > options.output_rows {
        return Err(Error::Step(format!(
            "{rows} output rows are wanted, the session was opened for {}: ask for fewer, or open it with more output rows",
            options.output_rows
        )));
    }
    Ok(work)
}

fn check_size(graph: &Graph, options: &SessionOptions, step: &Step<'_>) -> Result<()> {
    let tokens = |span: &Span<'_>| match span.input {
        Input::Tokens(tokens) => tokens.len(),
        Input::Pixels(_) | Input::Signal(_) => 0,
    };
    let (rows, limit, what) = match graph.input {
        GraphInput::Tokens { .. } => (step.spans.iter().map(tokens).sum(), options.chunk, "tokens"),
        GraphInput::Pixels { .. } => (step.spans.len(), options.sequences, "images"),
        GraphInput::Signal { .. } => (step.spans.len(), options.sequences, "signals"),
    };
    if rows <= limit {
        return Ok(());
    }
    Err(Error::Step(format!(
        "it has {rows} {what}, the session was opened for {limit}: split it, or open the session with a longer chunk"
    )))
}

/// Number of tokens, zero if the input is no text.
fn check_input(graph: &Graph, span: &Span<'_>) -> Result<usize> {
    let values = |found: usize, expected: usize| match found == expected {
        true => Ok(0),
        false => {
            Err(Error::Step(format!("an input of {found} values, the model takes {expected}")))
        }
    };
    match (graph.input, span.input) {
        (GraphInput::Tokens { .. }, Input::Tokens([])) => {
            Err(Error::Step(format!("{} gets no token", span.sequence)))
        }
        (GraphInput::Tokens { vocabulary, .. }, Input::Tokens(tokens)) => {
            match tokens.iter().find(|&&token| token as usize >= vocabulary) {
                Some(&token) => Err(Error::Token { token, vocabulary }),
                None => Ok(tokens.len()),
            }
        }
        (GraphInput::Pixels { channels, size }, Input::Pixels(pixels)) => {
            values(pixels.len(), channels * size[0] * size[1])
        }
        (GraphInput::Signal { channels, samples }, Input::Signal(signal)) => {
            values(signal.len(), channels * samples)
        }
        (input, _) => Err(Error::Step(format!(
            "the input of {} is not what the model takes: {input}",
            span.sequence
        ))),
    }
}

fn check_positions(
    graph: &Graph,
    options: &SessionOptions,
    sequence: SequenceId,
    first: usize,
    tokens: usize,
) -> Result<()> {
    let needed = first.saturating_add(tokens);
    if needed > options.context {
        return Err(Error::ContextFull { sequence, needed, limit: options.context });
    }
    if first > 0 && sees_both_sides(graph) {
        return Err(Error::Step(format!(
            "{sequence} comes in pieces, the graph's bidirectional attention needs it whole"
        )));
    }
    for node in &graph.nodes {
        let Op::Position { table, offset } = node.op else { continue };
        let end = match graph.values[node.inputs[0].index()].rows {
            RowKind::Token => needed,
            RowKind::Patch(patches) => patches,
            RowKind::Sequence => 1,
        };
        let known = graph.weight(table).shape[0].saturating_sub(offset);
        if end > known {
            return Err(Error::Step(format!(
                "{sequence} would reach position {}, the model knows {known}: shorten the input",
                end - 1
            )));
        }
    }
    Ok(())
}

fn sees_both_sides(graph: &Graph) -> bool {
    graph.nodes.iter().any(
        |node| matches!(&node.op, Op::Attention(attention) if attention.mask == Mask::Bidirectional),
    )
}

fn wanted(graph: &Graph, want: Want, tokens: usize) -> Range<usize> {
    let rows = match graph.output_rows() {
        RowKind::Token => tokens,
        RowKind::Patch(patches) => patches,
        RowKind::Sequence => 1,
    };
    match want {
        Want::Nothing => 0..0,
        Want::Last => rows - 1..rows,
        Want::All => 0..rows,
    }
}
