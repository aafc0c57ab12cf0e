//! Steps that cannot run are refused with an error and leave every sequence as it was.

use std::sync::Arc;

use edgeformer_core::{
    Error, Format, Input, Outputs, Result, SequenceId, Session, SessionOptions, Span, Step, Want,
};

use super::graphs::{VOCABULARY, two_layers};
use crate::bench::{Bench, Stop, ensure, exact};
use crate::compare::{near, widen};
use crate::feed::{chunked, extend, last};
use crate::random::{Random, random_model};
use crate::suite::{Case, Group};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(Group::Cache, "steps/refused", refused),
        Case::new(Group::Cache, "steps/wanted-rows", wanted_rows),
        Case::new(Group::Cache, "steps/full", full),
    ]
}

fn tokens(sequence: SequenceId, tokens: &[u32]) -> Span<'_> {
    Span { sequence, input: Input::Tokens(tokens), want: Want::Last }
}

fn open(bench: &Bench<'_>, options: &SessionOptions) -> Result<Box<dyn Session>> {
    let model = random_model(two_layers()?, 5, |_| Format::F32)?;
    bench.open(&Arc::new(model), options)
}

fn refused(bench: &Bench<'_>) -> Result<(), Stop> {
    let options = SessionOptions { context: 30, chunk: 12, output_rows: 12, ..exact() };
    let mut session = open(bench, &options)?;
    let text = Random::new(1).tokens(20, VOCABULARY);
    let (a, b) = (session.cache().create()?, session.cache().create()?);
    extend(session.as_mut(), a, &text[..10], 10)?;
    let unknown = SequenceId(u64::MAX);
    let long = vec![1; 13];
    let (outside, pixels) = ([1, VOCABULARY as u32], [0.0; 4]);
    let wrong = Span { sequence: b, input: Input::Pixels(&pixels), want: Want::Last };
    let steps: [(&str, Vec<Span<'_>>); 7] = [
        ("a token outside the vocabulary", vec![tokens(b, &[1, 2]), tokens(a, &outside)]),
        ("an unknown sequence", vec![tokens(a, &[1]), tokens(unknown, &[1])]),
        ("a sequence in two spans", vec![tokens(a, &[1]), tokens(a, &[2])]),
        ("more rows than the chunk", vec![tokens(a, &long)]),
        ("more rows than the chunk over spans", vec![tokens(a, &long[..6]), tokens(b, &long[..7])]),
        ("no token", vec![tokens(a, &[])]),
        ("pixels", vec![wrong]),
    ];
    let mut outputs = Outputs::default();
    for (what, spans) in &steps {
        let ran = session.run(&Step { spans }, &mut outputs);
        ensure(ran.is_err(), || format!("a step with {what} runs"))?;
        let lengths = [a, b].map(|seq| session.cache().len(seq));
        ensure(lengths == [10, 0], || format!("after {what} lengths are {lengths:?}"))?;
    }
    extend(session.as_mut(), a, &text[10..], 10)?;
    extend(session.as_mut(), b, &text, 12)?;
    let beyond = session.run(&Step { spans: &[tokens(a, &long[..11])] }, &mut outputs);
    ensure(matches!(beyond, Err(Error::ContextFull { needed: 31, limit: 30, .. })), || {
        format!("31 of 30 tokens end in {beyond:?}")
    })?;
    let after = [a, b].map(|seq| last(session.as_mut(), seq, &[3]));
    let [a, b] = after;
    near(&a?, &widen(&b?), 1e-4).map_err(|stop| stop.at("after refusals"))
}

/// `Last` and `Nothing` give the rows that `All` would.
fn wanted_rows(bench: &Bench<'_>) -> Result<(), Stop> {
    let mut session = open(bench, &exact())?;
    let text = Random::new(1).tokens(20, VOCABULARY);
    let expected = widen(&chunked(session.as_mut(), &text, 20)?);
    let seqs = [session.cache().create()?, session.cache().create()?, session.cache().create()?];
    let span = |index: usize, want| Span {
        sequence: seqs[index],
        input: Input::Tokens(&text[..12 + index]),
        want,
    };
    let spans = [span(0, Want::Last), span(1, Want::Nothing), span(2, Want::All)];
    let mut outputs = Outputs::default();
    session.run(&Step { spans: &spans }, &mut outputs)?;
    let rows = [0, 1, 2].map(|index| outputs.span(index).len());
    ensure(rows == [1, 0, 14], || format!("rows of the spans are {rows:?}"))?;
    let row = |from: usize, to: usize| &expected[from * VOCABULARY..to * VOCABULARY];
    near(outputs.span(0).data(), row(11, 12), 1e-4).map_err(|stop| stop.at("the last row"))?;
    near(outputs.span(2).data(), row(0, 14), 1e-4).map_err(|stop| stop.at("all rows"))?;
    let next = last(session.as_mut(), seqs[1], &text[13..])?;
    near(&next, row(19, 20), 1e-4).map_err(|stop| stop.at("after a chunk that wants nothing"))
}

/// As many sequences as were asked for fit at full length, all at once.
fn full(bench: &Bench<'_>) -> Result<(), Stop> {
    let options = SessionOptions { context: 24, sequences: 3, chunk: 24, ..exact() };
    let mut session = open(bench, &options)?;
    let text = Random::new(1).tokens(24, VOCABULARY);
    let seqs = [session.cache().create()?, session.cache().create()?, session.cache().create()?];
    for chunk in text.chunks(8) {
        let spans = seqs.map(|sequence| tokens(sequence, chunk));
        session.run(&Step { spans: &spans }, &mut Outputs::default())?;
    }
    let lengths = seqs.map(|seq| session.cache().len(seq));
    ensure(lengths == [24; 3], || format!("lengths are {lengths:?}"))
}
