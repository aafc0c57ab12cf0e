//! Causal text whose last row alone goes on: classifiers on decoders.

use std::sync::Arc;

use edgeformer_core::graph::{GraphBuilder, GraphInput, OutputKind, Pool};
use edgeformer_core::{
    Format, Graph, Input, Outputs, Result, SequenceId, Session, Span, Step, Want,
};

use super::super::graphs::{VOCABULARY, WIDTH, attend, grouped};
use super::FLOAT;
use crate::bench::{Bench, Stop, ensure, exact};
use crate::compare::near;
use crate::random::{Random, random_model};
use crate::reference;
use crate::suite::{Case, Group};

pub(super) fn cases() -> Vec<Case> {
    vec![Case::new(Group::Ops, "ops/pool-last-causal", check)]
}

fn graph() -> Result<Graph> {
    let input = GraphInput::Tokens { vocabulary: VOCABULARY, context: 128 };
    let mut b = GraphBuilder::new("conformance", input);
    let mut x = b.embed("token_embd.weight", WIDTH, 1.0)?;
    for layer in ["blk.0", "blk.1"] {
        x = attend(&mut b, x, layer, grouped(4, 2, 8))?;
    }
    let x = b.layer_norm(x, "output_norm", 1e-5)?;
    let last = b.pool(x, Pool::Last)?;
    let scores = b.linear(last, "cls.output", 3, false)?;
    b.finish(OutputKind::ClassScores, scores)
}

/// Texts in pieces, of which the last one's row is wanted, alone and beside others.
fn check(bench: &Bench<'_>) -> Result<(), Stop> {
    let model = Arc::new(random_model(graph()?, 1, |_| Format::F32)?);
    let mut session = bench.open(&model, &exact())?;
    let mut random = Random::new(7);
    let texts: Vec<Vec<u32>> =
        [29, 17, 5].iter().map(|&length| random.tokens(length, VOCABULARY)).collect();
    let mut expected = Vec::new();
    for text in &texts {
        expected.push(reference::evaluate(&model, Input::Tokens(text), exact().context)?);
    }
    for chunk in [29, 7, 1] {
        let found = in_pieces(session.as_mut(), &texts[..1], chunk)?;
        near(&found[0], expected[0].data(), FLOAT)
            .map_err(|stop| stop.at(format!("in chunks of {chunk}")))?;
    }
    for (index, found) in in_pieces(session.as_mut(), &texts, 6)?.iter().enumerate() {
        near(found, expected[index].data(), FLOAT)
            .map_err(|stop| stop.at(format!("text {index} among others")))?;
    }
    Ok(())
}

/// The row of each text, all fed in the same steps as long as they last.
fn in_pieces(
    session: &mut dyn Session,
    texts: &[Vec<u32>],
    chunk: usize,
) -> Result<Vec<Vec<f32>>, Stop> {
    let create = |_: &Vec<u32>| session.cache().create();
    let sequences: Vec<SequenceId> = texts.iter().map(create).collect::<Result<_>>()?;
    let mut rows = vec![Vec::new(); texts.len()];
    let mut outputs = Outputs::default();
    let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
    for start in (0..longest).step_by(chunk) {
        let (mut spans, mut owners) = (Vec::new(), Vec::new());
        for (index, text) in texts.iter().enumerate().filter(|(_, text)| start < text.len()) {
            let end = text.len().min(start + chunk);
            let want = if end == text.len() { Want::All } else { Want::Nothing };
            let input = Input::Tokens(&text[start..end]);
            spans.push(Span { sequence: sequences[index], input, want });
            owners.push(index);
        }
        session.run(&Step { spans: &spans }, &mut outputs)?;
        for (span, owner) in owners.into_iter().enumerate() {
            rows[owner].extend_from_slice(outputs.span(span).data());
        }
    }
    ensure(rows.iter().all(|row| row.len() == 3), || "a text has not one row of 3".into())?;
    sequences.into_iter().for_each(|sequence| session.cache().remove(sequence));
    Ok(rows)
}
