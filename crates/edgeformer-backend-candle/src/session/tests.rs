//! What a budget moves, and that it changes no value.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use edgeformer_conformance::random_model;
use edgeformer_core::graph::{Attention, GraphBuilder, GraphInput, Mask, OutputKind};
use edgeformer_core::{
    Backend, CacheFormat, CompileOptions, Error, Footprint, Format, Input, Model, Outputs,
    SequenceId, Session, SessionOptions, Span, Step, Tiers, Want,
};

use super::CandleSession;
use crate::CandleBackend;
use crate::program::{self, CandleProgram};

const LAYERS: usize = 4;
const CONTEXT: usize = 48;
/// Keys and values of a token in a layer, as f32.
const ROW: u64 = (8 + 8) * 4;

fn model() -> Model {
    let mut b = GraphBuilder::new("g", GraphInput::Tokens { vocabulary: 11, context: 64 });
    let mut x = b.embed("table.weight", 16, 1.0).unwrap();
    for layer in 0..LAYERS {
        let attention = Attention {
            heads: 4,
            kv_heads: 2,
            key_dim: 4,
            value_dim: 4,
            scale: 0.5,
            mask: Mask::Causal,
            window: None,
            soft_cap: None,
            slot: None,
        };
        let q = b.linear(x, &format!("{layer}.q"), 16, false).unwrap();
        let k = b.linear(x, &format!("{layer}.k"), 8, false).unwrap();
        let v = b.linear(x, &format!("{layer}.v"), 8, false).unwrap();
        let mixed = b.attention(q, k, v, attention).unwrap();
        x = b.add(x, mixed).unwrap();
    }
    let graph = b.finish(OutputKind::HiddenStates, x).unwrap();
    random_model(graph, 3, |_| Format::F32).unwrap()
}

fn options(budget: Option<u64>) -> SessionOptions {
    SessionOptions {
        context: CONTEXT,
        sequences: 2,
        chunk: 32,
        output_rows: 32,
        page_tokens: 4,
        cache_type_k: CacheFormat::F32,
        cache_type_v: CacheFormat::F32,
        tiers: Tiers { budget, ..Tiers::default() },
        ..SessionOptions::default()
    }
}

fn open(budget: Option<u64>) -> CandleSession {
    let program = CandleProgram::new(Arc::new(model()), &candle_core::Device::Cpu).unwrap();
    CandleSession::new(Arc::new(program), &options(budget)).unwrap()
}

/// Two sequences together, chunk by chunk; then a fork of one beside the other.
fn rows(session: &mut CandleSession) -> Vec<f32> {
    let mut outputs = Outputs::default();
    let mut rows = Vec::new();
    let mut feed = |session: &mut CandleSession, spans: &[(SequenceId, &[u32])]| {
        let spans: Vec<_> = spans
            .iter()
            .map(|&(sequence, tokens)| Span {
                sequence,
                input: Input::Tokens(tokens),
                want: Want::All,
            })
            .collect();
        session.run(&Step { spans: &spans }, &mut outputs).unwrap();
        rows.extend_from_slice(outputs.rows().data());
    };
    let [a, b] = [(); 2].map(|()| session.cache().create().unwrap());
    feed(session, &[(a, &[1, 2, 3, 4, 5, 6, 7]), (b, &[8, 9, 10])]);
    feed(session, &[(b, &[1, 1, 2]), (a, &[3])]);
    (0..9).for_each(|token| feed(session, &[(a, &[token]), (b, &[token + 1])]));
    session.cache().remove(b);
    let fork = session.cache().fork(a).unwrap();
    feed(session, &[(fork, &[7, 7]), (a, &[4, 5, 6])]);
    rows
}

#[test]
fn a_budget_moves_slots_to_the_host_and_changes_no_value() {
    let mut free = open(None);
    let expected = rows(&mut free);
    assert_eq!(free.ledger().brought(), 0);
    let least = 2 * ROW * CONTEXT as u64;
    for budget in [least, least + 3000, least + 12_000, 1 << 30] {
        let mut session = open(Some(budget));
        let found = rows(&mut session);
        let same = found.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same && found.len() == expected.len(), "a budget of {budget} changes values");
        assert!(session.ledger().most() <= budget, "{} of {budget}", session.ledger().most());
        let usage = session.cache().usage();
        let moves = budget < 1 << 30;
        assert_eq!(session.ledger().brought() > 0, moves, "under a budget of {budget}");
        assert_eq!(usage.bytes_spilled > 0, moves);
        assert_eq!(usage.bytes_resident, session.ledger().resident());
        assert_eq!(usage.bytes_used, usage.bytes_resident + usage.bytes_spilled);
    }
}

#[test]
fn at_the_least_budget_nothing_stays_on_the_device() {
    let mut session = open(Some(2 * ROW * CONTEXT as u64));
    rows(&mut session);
    assert_eq!(session.ledger().resident(), 0);
    assert_eq!(session.cache().usage().bytes_resident, 0);
}

#[test]
fn a_budget_below_the_least_is_refused() {
    let graph = model().graph;
    let refused = |budget| program::check(&graph, &options(Some(budget))).unwrap_err();
    insta::assert_snapshot!(
        refused(6143),
        @"configuration: a cache budget of 6143 bytes: the layer that runs and the next one take 6144 at a context of 48; raise the budget or shorten the context"
    );
    assert!(matches!(refused(0), Error::Config(_)));
    program::check(&graph, &options(Some(6144))).unwrap();
}

#[test]
fn the_plan_counts_weights_and_cache_exactly() {
    let model = model();
    let planned = |options: &SessionOptions| {
        CandleBackend.plan(&model, &CompileOptions::default(), options).unwrap()
    };
    let Footprint { weights, cache, cache_per_token, scratch } = planned(&options(None));
    // A table that is only looked up stays where the file is.
    assert_eq!(weights, 4 * (11 * 16 + LAYERS * 16 * 32) as u64);
    assert_eq!(cache_per_token, LAYERS as u64 * ROW);
    assert_eq!(cache, cache_per_token * 2 * CONTEXT as u64);
    assert!(scratch > 0);
    let half = SessionOptions {
        cache_type_k: CacheFormat::F16,
        cache_type_v: CacheFormat::F16,
        ..options(None)
    };
    assert_eq!(planned(&half).cache, cache / 2);
}
