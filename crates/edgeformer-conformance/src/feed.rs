//! Ways of feeding the same input.

use edgeformer_core::{Input, Outputs, Result, SequenceId, Session, Span, Step, Want};

/// All output rows of `tokens`, fed to a new sequence in chunks.
pub(crate) fn chunked(session: &mut dyn Session, tokens: &[u32], chunk: usize) -> Result<Vec<f32>> {
    let sequence = session.cache().create()?;
    let rows = extend(session, sequence, tokens, chunk)?;
    session.cache().remove(sequence);
    Ok(rows)
}

/// All output rows of `tokens`, fed to `sequence` in chunks.
pub(crate) fn extend(
    session: &mut dyn Session,
    sequence: SequenceId,
    tokens: &[u32],
    chunk: usize,
) -> Result<Vec<f32>> {
    let mut outputs = Outputs::default();
    let mut rows = Vec::new();
    for tokens in tokens.chunks(chunk) {
        let span = Span { sequence, input: Input::Tokens(tokens), want: Want::All };
        session.run(&Step { spans: &[span] }, &mut outputs)?;
        rows.extend_from_slice(outputs.rows().data());
    }
    Ok(rows)
}

/// The last output row of `tokens`, fed to `sequence` in one step.
pub(crate) fn last(
    session: &mut dyn Session,
    sequence: SequenceId,
    tokens: &[u32],
) -> Result<Vec<f32>> {
    let mut outputs = Outputs::default();
    let span = Span { sequence, input: Input::Tokens(tokens), want: Want::Last };
    session.run(&Step { spans: &[span] }, &mut outputs)?;
    Ok(outputs.rows().data().to_vec())
}

/// All output rows of several texts, fed to new sequences together: prompt chunks and single
/// tokens mixed, in every step another number of tokens of each, and none of some.
pub(crate) fn ragged(session: &mut dyn Session, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
    let create = |session: &mut dyn Session| session.cache().create();
    let sequences: Vec<_> = texts.iter().map(|_| create(session)).collect::<Result<_>>()?;
    let mut rows = vec![Vec::new(); texts.len()];
    let mut fed = vec![0; texts.len()];
    let mut outputs = Outputs::default();
    for step in 0.. {
        let mut spans = Vec::new();
        let mut owners = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let count = [1, 6, 0, 1, 3][(step + 2 * index) % 5].min(text.len() - fed[index]);
            if count > 0 {
                let input = Input::Tokens(&text[fed[index]..][..count]);
                spans.push(Span { sequence: sequences[index], input, want: Want::All });
                owners.push(index);
                fed[index] += count;
            }
        }
        if spans.is_empty() {
            match texts.iter().zip(&fed).all(|(text, &fed)| fed == text.len()) {
                true => break,
                false => continue,
            }
        }
        session.run(&Step { spans: &spans }, &mut outputs)?;
        for (span, &owner) in owners.iter().enumerate() {
            rows[owner].extend_from_slice(outputs.span(span).data());
        }
    }
    sequences.into_iter().for_each(|sequence| session.cache().remove(sequence));
    Ok(rows)
}

/// All output rows of several inputs, each in a new sequence, all in one step.
pub(crate) fn together(session: &mut dyn Session, inputs: &[Input<'_>]) -> Result<Vec<Vec<f32>>> {
    let mut spans = Vec::new();
    for &input in inputs {
        spans.push(Span { sequence: session.cache().create()?, input, want: Want::All });
    }
    let mut outputs = Outputs::default();
    session.run(&Step { spans: &spans }, &mut outputs)?;
    spans.iter().for_each(|span| session.cache().remove(span.sequence));
    Ok((0..spans.len()).map(|index| outputs.span(index).data().to_vec()).collect())
}
