use edgeformer_core::graph::RowKind;
use edgeformer_core::{Graph, Input, Outputs, Rows, Session, SessionOptions, Span, Step, Want};

use crate::{Error, Result};

/// Output rows of one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    rows: Vec<f32>,
    width: usize,
}

impl Evaluation {
    /// The rows: one a token for decoders and encoders, one in all for classifiers.
    pub fn rows(&self) -> Rows<'_> {
        Rows::new(&self.rows, self.width)
    }
}

/// An input that the worker owns.
#[derive(Debug)]
pub(super) enum OwnedInput {
    Tokens(Vec<u32>),
    Pixels(Vec<f32>),
}

impl OwnedInput {
    /// Parts that can be run one after the other.
    fn parts(&self, limit: usize) -> Vec<Input<'_>> {
        match self {
            Self::Tokens(tokens) => tokens.chunks(limit).map(Input::Tokens).collect(),
            Self::Pixels(pixels) => vec![Input::Pixels(pixels)],
        }
    }
}

/// Runs one input through the session, all rows wanted, and forgets it.
pub(super) fn evaluate(
    session: &mut dyn Session,
    input: &OwnedInput,
    options: &SessionOptions,
    graph: &Graph,
) -> Result<Evaluation> {
    // One row of a whole sequence: it follows its last part, and those before are only cached.
    let pooled = graph.output_rows() == RowKind::Sequence;
    let limit = if pooled { options.chunk } else { options.chunk.min(options.output_rows) };
    let parts = input.parts(limit);
    let last = parts.len().saturating_sub(1);
    let sequence = session.cache().create()?;
    let mut evaluation = Evaluation { rows: Vec::new(), width: 1 };
    let mut outputs = Outputs::default();
    let result = parts.into_iter().enumerate().try_for_each(|(index, input)| {
        let want = if pooled && index < last { Want::Nothing } else { Want::All };
        let step = Step { spans: &[Span { sequence, input, want }] };
        session.run(&step, &mut outputs)?;
        if want == Want::All {
            evaluation.width = outputs.width();
            evaluation.rows.extend_from_slice(outputs.rows().data());
        }
        Ok(())
    });
    session.cache().remove(sequence);
    match result {
        Ok(()) if evaluation.rows.is_empty() => Err(Error::Request("the input is empty".into())),
        Ok(()) => Ok(evaluation),
        Err(error) => Err(error),
    }
}
