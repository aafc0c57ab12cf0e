//! Queries that see less of the past than the model allows: windows, sinks, chosen pages, dropped
//! entries. What depends on attention itself has no plain definition to compare with: there, what
//! covers everything must change nothing.

use std::sync::Arc;

use edgeformer_core::{
    CacheFormat, Eviction, EvictionPolicy, Format, Graph, HeadWindows, Input, Result,
    SessionOptions, Visibility, Window,
};

use super::cache::refuses_damaged;
use super::graphs::{VOCABULARY, two_full_layers, two_latent_layers, two_layers};
use crate::bench::{Bench, Stop, ensure, exact};
use crate::compare::{near, same_bits};
use crate::feed::{chunked, extend, ragged};
use crate::random::{Random, random_model};
use crate::reference::{evaluate, evaluate_seeing};
use crate::suite::{Case, Group};

/// What f32 arithmetic in another order may cost.
const FLOAT: f64 = 1e-4;

type Build = fn() -> Result<Graph>;
/// What queries see of a graph.
type ForGraph = fn(&Graph) -> Visibility;
/// What queries see of any graph.
type Everywhere = fn() -> Visibility;

const GRAPHS: [(&str, Build); 3] =
    [("full", two_full_layers), ("windows", two_layers), ("latents", two_latent_layers)];

pub(super) fn cases() -> Vec<Case> {
    let narrower: [(&str, ForGraph); 4] = [
        ("window", |_| seeing(Window::Tokens(7), 0)),
        ("sinks", |_| seeing(Window::Tokens(7), 3)),
        ("sinks-page", |_| seeing(Window::Tokens(10), 5)),
        ("heads", |graph| seeing(by_head(graph), 2)),
    ];
    let everything: [(&str, Everywhere); 3] = [
        ("all-pages", || Visibility { attend_pages: Some(100), ..Visibility::default() }),
        ("keep-all-h2o", || keeping(EvictionPolicy::H2o, 160)),
        ("keep-all-snapkv", || keeping(EvictionPolicy::SnapKv, 160)),
    ];
    let mut cases = Vec::new();
    for (kind, build) in GRAPHS {
        for (name, visibility) in narrower {
            let name = format!("visibility/{name}-{kind}");
            cases.push(case(name, move |bench| {
                let graph = build()?;
                let visibility = visibility(&graph);
                as_defined(bench, graph, visibility)
            }));
        }
        for (name, visibility) in everything {
            let name = format!("visibility/{name}-{kind}");
            cases.push(case(name, move |bench| as_defined(bench, build()?, visibility())));
        }
        cases.push(case(format!("visibility/endless-{kind}"), move |bench| {
            endless(bench, build()?)
        }));
        cases.push(case(format!("visibility/adaptive-{kind}"), move |bench| {
            adaptive(bench, build()?)
        }));
    }
    cases.push(case("visibility/few-pages".into(), few_pages));
    cases.push(case("visibility/evicted".into(), evicted));
    for (name, visibility) in [
        ("adaptive", seeing(Window::Adaptive { least: 6, most: 24 }, 2)),
        ("h2o", keeping(EvictionPolicy::H2o, 20)),
        ("snapkv", keeping(EvictionPolicy::SnapKv, 20)),
    ] {
        let name = format!("visibility/saved-{name}");
        cases.push(case(name, move |bench| saved(bench, &visibility)));
    }
    cases
}

fn case(
    name: String,
    run: impl Fn(&Bench<'_>) -> Result<(), Stop> + Send + Sync + 'static,
) -> Case {
    Case::new(Group::Cache, name, run)
}

fn seeing(window: Window, sinks: usize) -> Visibility {
    Visibility { window, sinks, ..Visibility::default() }
}

fn keeping(policy: EvictionPolicy, keep: usize) -> Visibility {
    Visibility { eviction: Some(Eviction { policy, keep }), ..Visibility::default() }
}

/// Every head another window, one of them none.
fn by_head(graph: &Graph) -> Window {
    let window = |slot: usize, head: usize| (head != 1).then_some(4 + 3 * head + 2 * slot);
    let slot = |slot| (0..4).map(|head| window(slot, head)).collect();
    let slots = (0..graph.cache.slots.len()).map(slot).collect();
    Window::Heads(Arc::new(HeadWindows { slots }))
}

/// Rows are the plain definition's, however they are fed.
fn as_defined(bench: &Bench<'_>, graph: Graph, visibility: Visibility) -> Result<(), Stop> {
    let model = Arc::new(random_model(graph, 3, |_| Format::F32)?);
    let mut random = Random::new(5);
    let texts: Vec<_> =
        [61, 23, 8].iter().map(|&length| random.tokens(length, VOCABULARY)).collect();
    let options = SessionOptions { visibility, ..exact() };
    let expected = texts
        .iter()
        .map(|text| {
            let seen = &options.visibility;
            evaluate_seeing(&model, Input::Tokens(text), options.context, seen)
        })
        .collect::<Result<Vec<_>>>()?;
    let mut session = bench.open(&model, &options)?;
    for chunk in [61, 13, 1] {
        let found = chunked(session.as_mut(), &texts[0], chunk)?;
        near(&found, expected[0].data(), FLOAT)
            .map_err(|stop| stop.at(format!("chunks of {chunk}")))?;
    }
    // Other sequences beside it change nothing; eviction has one sequence at a time to drop from.
    for (found, expected) in ragged(session.as_mut(), &texts)?.iter().zip(&expected) {
        near(found, expected.data(), FLOAT).map_err(|stop| stop.at("among others"))?;
    }
    Ok(())
}

/// A stream goes on behind the context.
fn endless(bench: &Bench<'_>, graph: Graph) -> Result<(), Stop> {
    let model = Arc::new(random_model(graph, 3, |_| Format::F32)?);
    let text = Random::new(6).tokens(130, VOCABULARY);
    let visibility = seeing(Window::Tokens(20), 4);
    let options = SessionOptions { context: 40, chunk: 16, visibility, ..exact() };
    let seen = &options.visibility;
    let expected = evaluate_seeing(&model, Input::Tokens(&text), options.context, seen)?;
    let mut session = bench.open(&model, &options)?;
    for chunk in [16, 1] {
        let found = chunked(session.as_mut(), &text, chunk)?;
        near(&found, expected.data(), FLOAT)
            .map_err(|stop| stop.at(format!("chunks of {chunk}")))?;
    }
    let used = session.cache().usage();
    ensure(used.bytes_used == 0, || format!("removed sequences hold {} bytes", used.bytes_used))
}

/// Before a window can close it changes nothing, and chunks never matter to it.
fn adaptive(bench: &Bench<'_>, graph: Graph) -> Result<(), Stop> {
    let model = Arc::new(random_model(graph, 3, |_| Format::F32)?);
    let text = Random::new(8).tokens(90, VOCABULARY);
    let visibility = seeing(Window::Adaptive { least: 10, most: 30 }, 0);
    let options = SessionOptions { visibility, ..exact() };
    let mut session = bench.open(&model, &options)?;
    let whole = chunked(session.as_mut(), &text, 90)?;
    for chunk in [7, 1] {
        let found = chunked(session.as_mut(), &text, chunk)?;
        let widened: Vec<f64> = whole.iter().map(|&value| f64::from(value)).collect();
        near(&found, &widened, 0.0).map_err(|stop| stop.at(format!("chunks of {chunk}")))?;
    }
    let plain = evaluate(&model, Input::Tokens(&text[..30]), options.context)?;
    near(&whole[..30 * VOCABULARY], plain.data(), FLOAT)
}

/// A query that attends few pages still gets an answer, and another one.
fn few_pages(bench: &Bench<'_>) -> Result<(), Stop> {
    let model = Arc::new(random_model(two_full_layers()?, 3, |_| Format::F32)?);
    let text = Random::new(9).tokens(80, VOCABULARY);
    let visibility = Visibility { attend_pages: Some(2), ..Visibility::default() };
    let options = SessionOptions { visibility, ..exact() };
    let mut session = bench.open(&model, &options)?;
    let whole = chunked(session.as_mut(), &text, 80)?;
    let single = chunked(session.as_mut(), &text, 1)?;
    ensure(whole == single, || "chunks change what pages are chosen".into())?;
    let full = evaluate(&model, Input::Tokens(&text), options.context)?;
    // Two full pages of five tokens and the query's own.
    near(&whole[..11 * VOCABULARY], &full.data()[..11 * VOCABULARY], FLOAT)?;
    let all = near(&whole, full.data(), FLOAT);
    ensure(all.is_err(), || "every page was attended".into())
}

/// Dropped entries free their pages, and the sequence goes on.
fn evicted(bench: &Bench<'_>) -> Result<(), Stop> {
    let model = Arc::new(random_model(two_full_layers()?, 3, |_| Format::F32)?);
    let text = Random::new(10).tokens(100, VOCABULARY);
    for policy in [EvictionPolicy::H2o, EvictionPolicy::SnapKv] {
        let options = SessionOptions {
            visibility: keeping(policy, 20),
            cache_type_k: CacheFormat::F16,
            chunk: 50,
            ..exact()
        };
        let mut session = bench.open(&model, &options)?;
        let sequence = session.cache().create()?;
        extend(session.as_mut(), sequence, &text[..50], 50)?;
        let rows = extend(session.as_mut(), sequence, &text[50..60], 1)?;
        ensure(rows.iter().all(|value| value.is_finite()), || "an answer is no number".into())?;
        let pages = session.cache().usage().pages_used;
        ensure(session.cache().len(sequence) == 60, || "the length changed".into())?;
        // Of 60 tokens in pages of 5 at most 25 and those that came since stay, in two layers.
        ensure(pages <= 2 * 8, || format!("{pages} pages are held, {}", policy.name()))?;
    }
    Ok(())
}

/// A saved sequence goes on as the one it is a copy of, with what was learnt of its attention; a
/// damaged one is refused.
fn saved(bench: &Bench<'_>, visibility: &Visibility) -> Result<(), Stop> {
    let model = Arc::new(random_model(two_full_layers()?, 3, |_| Format::F32)?);
    let mut random = Random::new(12);
    let (past, more) = (random.tokens(53, VOCABULARY), random.tokens(40, VOCABULARY));
    let options = SessionOptions { visibility: visibility.clone(), chunk: 50, ..exact() };
    let mut session = bench.open(&model, &options)?;
    let sequence = session.cache().create()?;
    extend(session.as_mut(), sequence, &past, 50)?;
    let mut file = Vec::new();
    session.cache().export(sequence, &mut file)?;
    refuses_damaged(session.as_mut(), &mut file)?;
    let sequences = session.cache().usage().sequences;
    ensure(sequences == 1, || format!("refused files leave {sequences} sequences"))?;
    let copy = session.cache().import(&mut file.as_slice())?;
    let expected = extend(session.as_mut(), sequence, &more, 1)?;
    let found = extend(session.as_mut(), copy, &more, 1)?;
    same_bits(&found, &expected)
}
